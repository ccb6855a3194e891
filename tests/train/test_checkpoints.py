"""Checkpoints are wholly there or not there at all."""

from __future__ import annotations

import errno
import json

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from trifocal.errors import UserError
from trifocal.train.checkpoints import (
    Checkpoints,
    frozen_digest,
    optimizer_state,
    trained_state,
)


class Toy(nn.Module):
    def __init__(self, width: int = 3) -> None:
        super().__init__()
        self.body = nn.Linear(width, 2)
        self.frozen = nn.Linear(2, 2).requires_grad_(False)
        self.norm = nn.BatchNorm1d(2)

    def forward(self, x):
        return self.norm(self.frozen(self.body(x)))


def trained(steps: int = 3, seed: int = 0):
    torch.manual_seed(seed)
    toy = Toy()
    optimizer = torch.optim.AdamW([p for p in toy.parameters() if p.requires_grad], fused=True)
    for _ in range(steps):
        toy(torch.randn(8, 3)).pow(2).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    return toy, optimizer


def save(folder, step, toy, optimizer, **trainer):
    checkpoints = Checkpoints(folder)
    checkpoints.save(step, trained_state(toy), optimizer_state(toy, optimizer), trainer)
    return checkpoints


def test_round_trip_is_bit_equal(tmp_path):
    toy, optimizer = trained()
    checkpoints = save(tmp_path, 7, toy, optimizer, best={"step": 3, "value": 0.5})
    assert checkpoints.steps() == [7]
    assert checkpoints.read(7)["best"] == {"step": 3, "value": 0.5}
    saved = load_file(checkpoints.path(7) / "model.safetensors")
    assert "frozen.weight" not in saved
    assert {"norm.running_mean", "norm.num_batches_tracked", "body.weight"} <= saved.keys()

    other, state = trained(steps=1, seed=9)
    checkpoints.load(7, other, state)
    for name, value in trained_state(toy).items():
        assert torch.equal(value, trained_state(other)[name]), name
    first, second = optimizer_state(toy, optimizer), optimizer_state(other, state)
    assert first.keys() == second.keys()
    assert "exp_avg_sq:body.weight" in first
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert first["step:body.bias"].item() == 3.0


def test_the_last_and_the_best_stay(tmp_path):
    toy, optimizer = trained()
    for step in (1, 2, 3, 10):
        checkpoints = save(tmp_path, step, toy, optimizer)
        checkpoints.prune(keep=1, best=2)
    assert checkpoints.steps() == [2, 10]
    checkpoints.prune(keep=1)
    assert checkpoints.steps() == [10]
    assert [path.name for path in checkpoints.folder.iterdir()] == ["step-00000010"]


def test_remains_of_killed_runs_are_not_taken_for_checkpoints(tmp_path):
    toy, optimizer = trained()
    checkpoints = save(tmp_path, 4, toy, optimizer)
    for name in (".step-00000005.abc.part", ".old.step-00000003", "step-00000009"):
        (checkpoints.folder / name).mkdir()
        (checkpoints.folder / name / "model.safetensors").write_bytes(b"half")
    assert checkpoints.steps() == [4]
    checkpoints.sweep()
    assert sorted(path.name for path in checkpoints.folder.iterdir()) == [
        "step-00000004",
        "step-00000009",
    ]
    save(tmp_path, 9, toy, optimizer)
    assert checkpoints.steps() == [4, 9]


@pytest.mark.parametrize("victim", ["model", "optimizer", "trainer"])
def test_a_full_disk_loses_nothing(tmp_path, monkeypatch, victim):
    toy, optimizer = trained()
    checkpoints = save(tmp_path, 4, toy, optimizer)
    before = {path: path.read_bytes() for path in checkpoints.path(4).iterdir()}

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    if victim == "trainer":
        monkeypatch.setattr("pathlib.Path.write_text", full)
    else:
        from trifocal.train import checkpoints as module

        real = module.save_file

        def selective(tensors, path, **options):
            return full() if victim in path.name else real(tensors, path, **options)

        monkeypatch.setattr(module, "save_file", selective)
    with pytest.raises(UserError, match="the disk is full; that of step 4 is intact") as caught:
        save(tmp_path, 5, toy, optimizer)
    assert "\n" not in str(caught.value)
    assert [path.name for path in checkpoints.folder.iterdir()] == ["step-00000004"]
    assert before == {path: path.read_bytes() for path in checkpoints.path(4).iterdir()}


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors", "trainer.json"])
def test_damage_is_named(tmp_path, name):
    toy, optimizer = trained()
    checkpoints = save(tmp_path, 4, toy, optimizer)
    path = checkpoints.path(4) / name
    path.write_bytes(path.read_bytes()[:20])

    def take_up():
        checkpoints.read(4)
        checkpoints.load(4, toy, optimizer)

    with pytest.raises(UserError, match="step-00000004"):
        take_up()


def test_another_model_is_refused(tmp_path):
    toy, optimizer = trained()
    checkpoints = save(tmp_path, 4, toy, optimizer)
    with pytest.raises(UserError, match=r"does not fit this model \(body.weight"):
        checkpoints.load(4, Toy(width=5))
    with pytest.raises(UserError, match="does not fit this model"):
        checkpoints.load(4, nn.Linear(3, 2))


def test_a_newer_format_is_refused(tmp_path):
    toy, optimizer = trained()
    checkpoints = save(tmp_path, 4, toy, optimizer)
    path = checkpoints.path(4) / "trainer.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99}))
    with pytest.raises(UserError, match="has format 99"):
        checkpoints.read(4)


def test_the_digest_covers_frozen_weights_only():
    toy, _ = trained()
    digest = frozen_digest(toy)
    with torch.no_grad():
        toy.body.weight.add_(1)
    assert frozen_digest(toy) == digest
    with torch.no_grad():
        toy.frozen.weight[0, 0] += 1e-6
    assert frozen_digest(toy) != digest
    assert frozen_digest(toy.requires_grad_(True)) == ""
