"""What draws curves gets the numbers of a run, and goes on where the run does."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from tests.train.test_engine import events, trained
from trifocal.errors import UserError


def test_tensorboard_is_the_usual_one(tmp_path):
    trained(tmp_path, steps=1)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(tmp_path / "t" / "tensorboard")).Reload()
    (point,) = read.Scalars("train/loss")
    assert (point.step, point.value) == (1, pytest.approx(events(tmp_path, "train")[0]["loss"]))
    trained(tmp_path / "none", steps=1, trackers=())
    assert not (tmp_path / "none" / "t" / "tensorboard").exists()


def test_weights_and_biases(tmp_path, monkeypatch):
    begun: list[dict[str, Any]] = []
    points: list[tuple[int, dict[str, float]]] = []
    run = SimpleNamespace(
        log=lambda values, step: points.append((step, values)), finish=lambda: None
    )

    def init(**settings: Any) -> SimpleNamespace:
        begun.append(settings)
        return run

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=init))
    trained(tmp_path, steps=2, trackers=("wandb",))
    assert (begun[0]["id"], begun[0]["resume"], begun[0]["config"]["name"]) == ("t", "allow", "t")
    assert [step for step, _ in points] == [1, 2]
    assert points[0][1]["train/loss"] == events(tmp_path, "train")[0]["loss"]


@pytest.mark.slow  # its own process is started
def test_weights_and_biases_itself_offline(tmp_path, monkeypatch):
    pytest.importorskip("wandb", reason="curves for it want trifocal[wandb]")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "cache"))
    trained(tmp_path, steps=2, trackers=("wandb",))
    (written,) = (tmp_path / "t" / "wandb").glob("offline-run-*/run-t.wandb")
    assert b"train/loss" in written.read_bytes()


def test_one_that_is_not_installed(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(UserError, match=r"trifocal\[wandb\]"):
        trained(tmp_path, steps=1, trackers=("wandb",))
