"""A few pictures and an index of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from trifocal.clip import Clip
from trifocal.search import PictureIndex, index_pictures, open_index

COLORS = ("red", "green", "blue", "white", "black", "yellow")


def paint(folder: Path, names: tuple[str, ...] = COLORS) -> None:
    """Write a picture of each color, with a dot that tells it from another of the same color."""
    folder.mkdir(parents=True, exist_ok=True)
    for place, name in enumerate(names):
        picture = Image.new("RGB", (48, 40), name)
        picture.putpixel((place, 1), (9, 9, 9))
        picture.save(folder / f"{name}.png")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    paint(tmp_path / "photos")
    return tmp_path / "photos"


@pytest.fixture
def index(tiny_clip: Clip, photos: Path, tmp_path: Path) -> PictureIndex:
    index_pictures(tiny_clip, [photos], tmp_path / "index")
    return open_index(tmp_path / "index", tiny_clip)
