"""`trifocal train`: recipes by name, fields as options, the device, one bar, what comes next."""

from __future__ import annotations

import io
import logging
import os
from pathlib import Path

import pytest
from rich.console import Console

from trifocal.apps.train import command
from trifocal.apps.train.command import _keep_to
from trifocal.bars import ProgressBars
from trifocal.cli import _Lines, main
from trifocal.errors import UserError
from trifocal.recipes import find_recipe, shipped_recipes

STEPS = 3
NAME = "fsc_clip-coco-ViT-B-32"


@pytest.fixture
def recipe(tmp_path: Path) -> str:
    path = tmp_path / "recipe.yaml"
    path.write_text(
        f"name: tiny\nmethod: finetune\ndata: {{size: 64}}\nschedule: {{steps: {STEPS}}}\n"
        f"batch_size: 8\nworkers: 0\noutput: {tmp_path}\n"
    )
    return str(path)


def test_a_bar_follows_the_steps(
    recipe: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100)
    monkeypatch.setattr(command, "ProgressBars", lambda quiet: ProgressBars(console, quiet=quiet))
    assert main(["train", recipe]) == 0
    shown = screen.getvalue()
    assert "tiny" in shown
    assert f"{STEPS}/{STEPS}" in shown
    assert "next: trifocal eval" in capsys.readouterr().out


def test_log_lines_go_where_stderr_is_when_they_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines, now = _Lines(), io.StringIO()
    monkeypatch.setattr("sys.stderr", now)
    lines.emit(logging.LogRecord("x", logging.INFO, "", 0, "step 1 of 3", (), None))
    assert now.getvalue() == "step 1 of 3\n"


@pytest.mark.parametrize(
    "spelling",
    [NAME, f"{NAME}.yaml", f"composition/{NAME}", f"recipes/composition/{NAME}.yaml"],
)
def test_a_recipe_that_ships_is_found_by_its_name(
    spelling: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_recipe(spelling) == shipped_recipes()[NAME]
    assert main(["train", spelling, "--print"]) == 0
    assert f"name: {NAME}\n" in capsys.readouterr().out


def test_a_file_wins_over_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / NAME).write_text("name: mine\n")
    assert find_recipe(NAME) == Path(NAME)


@pytest.mark.parametrize("path", [f"regions/{NAME}", f"mine/composition/{NAME}.yaml"])
def test_another_path_is_not_taken_for_one_that_ships(path: str) -> None:
    with pytest.raises(UserError, match=f"Did you mean '{NAME}'"):
        find_recipe(path)


def test_a_wrong_key_in_the_file_is_called_a_key(tmp_path: Path, capsys) -> None:
    (tmp_path / "r.yaml").write_text("method: {name: fsc_clip, gama: 1}\n")
    assert main(["train", str(tmp_path / "r.yaml"), "--print"]) == 2
    assert "unknown key 'method.gama'. Did you mean 'method.gamma'?" in capsys.readouterr().err


def test_training_keeps_to_the_cpu_that_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ACCELERATE_USE_CPU", raising=False)
    monkeypatch.setattr("trifocal.apps.train.command.pick_device", lambda _: "cuda")
    _keep_to("auto")
    _keep_to("cuda")
    assert "ACCELERATE_USE_CPU" not in os.environ
    with pytest.raises(UserError, match="here cuda"):
        _keep_to("mps")
    monkeypatch.setenv("ACCELERATE_USE_CPU", "")
    _keep_to("cpu")
    assert os.environ["ACCELERATE_USE_CPU"] == "true"
