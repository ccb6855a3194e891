"""The pictures that a model was trained on: a set, kept with the weights in every form of folder."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from trifocal.clip import Clip, load_clip, save_open_clip
from trifocal.clip.image_tower import load_image_tower
from trifocal.clip.own_clip import TextShape, build_around
from trifocal.clip.trained_on import FILE, TrainedOn
from trifocal.errors import UserError

DIGESTS = [hashlib.sha256(bytes([i])).digest() for i in range(5)]


def test_a_set_of_pictures() -> None:
    some, more = TrainedOn.of([*DIGESTS[:3], DIGESTS[0]]), TrainedOn.of(DIGESTS[2:4])
    assert len(some) == 3
    assert len(some | more) == 4
    assert (some | more) == TrainedOn.of(reversed(DIGESTS[:4])) != some
    assert some | TrainedOn() == some == TrainedOn() | some
    assert more.count([DIGESTS[4], DIGESTS[3], DIGESTS[3]]) == 2  # each that is asked for counts
    assert more.count([]) == TrainedOn().count(DIGESTS) == 0
    first = int.from_bytes(hashlib.sha256(b"\0").digest()[:8], "big")
    assert first in some.hashes.tolist() == sorted(some.hashes.tolist())


def test_it_is_kept_as_sorted_rows_of_eight_bytes(tmp_path: Path) -> None:
    assert TrainedOn.read(tmp_path) == TrainedOn()
    TrainedOn().write(tmp_path)
    assert not (tmp_path / FILE).exists()
    TrainedOn.of(DIGESTS).write(tmp_path)
    rows = load_file(tmp_path / FILE)["sha256"]
    assert [bytes(row.tolist()) for row in rows] == sorted(each[:8] for each in DIGESTS)
    assert TrainedOn.read(tmp_path) == TrainedOn.of(DIGESTS)


@pytest.mark.parametrize(
    "tensors",
    [
        {"sha256": torch.zeros(3, 7, dtype=torch.uint8)},
        {"sha256": torch.zeros(3, 8)},
        {"sha1": torch.zeros(3, 8, dtype=torch.uint8)},
        None,
    ],
)
def test_a_damaged_file_is_named(tensors: dict | None, tmp_path: Path) -> None:
    if tensors is None:
        (tmp_path / FILE).write_text("no tensors")
    else:
        save_file(tensors, tmp_path / FILE)
    with pytest.raises(UserError, match=f"{FILE} is damaged .*delete it"):
        TrainedOn.read(tmp_path)


def test_folders_keep_it(tiny_clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiny_clip, "trained_on", TrainedOn.of(DIGESTS))
    tiny_clip.save_pretrained(tmp_path / "whole")
    save_open_clip(tiny_clip, tmp_path / "folder")
    save_open_clip(tiny_clip, tmp_path / "file.safetensors")
    for name in ("whole", "folder", "folder/open_clip_model.safetensors"):
        assert load_clip(tmp_path / name).trained_on == TrainedOn.of(DIGESTS), name
    bare = load_clip(tmp_path / "file.safetensors", tokenizer=tiny_clip.tokenizer)
    assert bare.trained_on == TrainedOn()  # it has no room for it
    tower = load_image_tower(str(tmp_path / "whole"))
    around = build_around(tower, TextShape(64, 1, context_length=32), tiny_clip.tokenizer)
    assert around.trained_on == TrainedOn.of(DIGESTS)


def test_a_model_that_was_never_trained_here_has_no_file(tiny_clip: Clip, tmp_path: Path) -> None:
    tiny_clip.save_pretrained(tmp_path / "m")
    assert not (tmp_path / "m" / FILE).exists()
    assert not np.any(load_clip(tmp_path / "m").trained_on.hashes)
