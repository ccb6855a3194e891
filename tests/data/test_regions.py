"""Boxes lie where they were measured, however a photo is stored, scaled or turned."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from trifocal.data.regions import UNIT, Region, RegionDataset, RegionItem, turned

MARK = (30, 10, 16, 8)  # left, top, width, height of what is red in the stored picture
RED = (200, 0, 0)


def photo(path: Path, orientation: int, size: tuple[int, int] = (96, 48)) -> Path:
    """Write a picture with a red box in the stored pixels, and an EXIF orientation."""
    stored = Image.new("RGB", size, (90, 90, 90))
    stored.paste(RED, (MARK[0], MARK[1], MARK[0] + MARK[2], MARK[1] + MARK[3]))
    exif = Image.Exif()
    exif[0x112] = orientation
    stored.save(path, exif=exif)
    return path


def box_of_red(image: Image.Image) -> tuple[int, int, int, int]:
    red = np.asarray(image).astype(int)
    ys, xs = ((red[..., 0] > 150) & (red[..., 1] < 60)).nonzero()
    return int(xs.min()), int(ys.min()), int(np.ptp(xs)) + 1, int(np.ptp(ys)) + 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_turn_with_a_photo(tmp_path: Path, orientation: int) -> None:
    path = photo(tmp_path / "a.png", orientation)
    image, (box,) = Region(path, (MARK,), (96, 48)).open()
    assert image.size == ((48, 96) if orientation > 4 else (96, 48))
    assert box == box_of_red(image)
    # The same, had the annotation been made at half the size.
    small = tuple(side / 2 for side in MARK)
    assert Region(path, (small,), (48, 24)).open()[1] == (box,)


@pytest.mark.parametrize("orientation", range(5, 9))
def test_boxes_of_the_upright_picture_stay(tmp_path: Path, orientation: int) -> None:
    path = photo(tmp_path / "a.png", orientation)
    with Image.open(path) as file:
        upright = ImageOps.exif_transpose(file).convert("RGB")
    for frame in ((48, 96), None):
        image, (box,) = Region(path, (box_of_red(upright),), frame).open()
        assert box == box_of_red(image)


def test_shares_are_of_the_picture_as_it_is_shown(tmp_path: Path) -> None:
    path = photo(tmp_path / "a.png", 6)
    assert Region(path, ((0.25, 0.5, 0.5, 0.25),), UNIT).open()[1] == ((12, 48, 24, 24),)


def test_proposals_turn_too(tmp_path: Path) -> None:
    path = photo(tmp_path / "a.png", 6)
    item = RegionItem("a", Region(path, (MARK,), (96, 48)), "", "", (MARK, (0, 0, 10, 20)))
    sample = RegionDataset([item]).sample(0, np.random.default_rng(0))
    red = box_of_red(sample.image)
    assert (sample.boxes, sample.proposals) == ((red,), (red, (28, 0, 20, 10)))


def test_a_reduced_jpeg_has_its_boxes_reduced(tmp_path: Path) -> None:
    path = photo(tmp_path / "a.jpg", 6, (960, 480))
    for frame in ((960, 480), None):
        image, (box,) = Region(path, ((480, 0, 480, 480),), frame).open(draft=100)
        assert image.size == (240, 480)
        assert box == ((0, 240, 240, 240) if frame else (240, 0, 240, 240))


def test_what_cannot_be_told_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    for _ in range(2):
        Region(photo(tmp_path / "a.png", 3), (MARK,), (96, 48)).open()
        Region(photo(tmp_path / "b.png", 1), (MARK,), (96, 96)).open()
    told = [record.message for record in caplog.records]
    assert len(told) == 2
    assert "its EXIF orientation (3) turns it" in told[0]
    assert "96x96 pixels, and this one of 96x48 has another shape" in told[1]


def test_all_eight_turns_of_a_corner() -> None:
    stored = np.zeros((4, 6), np.uint8)
    stored[1, 2:5] = 255  # left 2, top 1, 3 wide, 1 high
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x112] = orientation
        image = Image.fromarray(stored)
        image.info["exif"] = exif.tobytes()
        ys, xs = np.asarray(ImageOps.exif_transpose(image)).nonzero()
        found = (xs.min(), ys.min(), np.ptp(xs) + 1, np.ptp(ys) + 1)
        assert turned([(2, 1, 3, 1)], (6, 4), orientation) == (found,)
