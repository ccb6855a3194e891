"""How many pictures of a test a model was trained on."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PIL import Image

from trifocal.clip.trained_on import TrainedOn
from trifocal.data.held import Cropped
from trifocal.features.identity import content_hash
from trifocal.features.in_training import NOTHING, digests, in_training


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    names = [tmp_path / f"{name}.png" for name in "abc"]
    for shade, name in enumerate(names):
        Image.new("RGB", (8, 8), (shade, 40, 20)).save(name)
    return names


def knowing(*files: Path) -> SimpleNamespace:
    known = TrainedOn.of(content_hash(file.read_bytes()) for file in files)
    return SimpleNamespace(trained_on=known, name="mine")


def test_pictures_are_known_by_their_content(
    files: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    copy = files[0].with_name("other.png")
    copy.write_bytes(files[0].read_bytes())
    found = in_training(knowing(files[0]), [copy, str(copy), files[1], files[2]], "photos")
    assert (found.count, found.of) == (1, 3)
    assert found.note == "; 1 of the 3 pictures were in training"
    assert found.account({"read": 4}) == {"read": 4, "seen_in_training": 1}
    assert caplog.messages == ["photos: 1 of the 3 pictures were in the training of mine"]


def test_none_of_them_is_counted_and_not_said(
    files: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    found = in_training(knowing(files[0]), files[1:], "photos")
    assert (found.note, found.account()) == ("", {"seen_in_training": 0})
    assert not caplog.messages


def test_a_model_that_remembers_nothing_says_nothing(files: list[Path]) -> None:
    for model in (object(), knowing()):
        assert in_training(model, files, "photos") == NOTHING
    assert NOTHING.account() is None
    assert NOTHING.account({"read": 3}) == {"read": 3}


def test_a_box_is_known_by_its_photo_and_what_is_in_memory_by_nothing(files: list[Path]) -> None:
    box = Cropped(files[0], (0.0, 0.0, 4.0, 4.0))
    drawn = torch.zeros(3, 8, 8, dtype=torch.uint8)
    assert in_training(knowing(files[0]), [box, drawn], "photos").count == 1
    assert in_training(knowing(files[0]), [drawn], "photos") == NOTHING


def test_files_that_cannot_be_read_are_left_out(files: list[Path]) -> None:
    files[1].unlink()
    reads = [Cropped(file, (0.0, 0.0, 1.0, 1.0)).content for file in files]
    assert digests(reads) == [content_hash(files[i].read_bytes()) for i in (0, 2)]
    assert in_training(knowing(files[0]), files, "photos").count == 1
