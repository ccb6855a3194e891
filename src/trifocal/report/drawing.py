"""Drawing explanations: the colors, letters, bars and boxes that their pictures share."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import matplotlib as mpl
from PIL import Image, ImageDraw, ImageFont

from trifocal.data.boxes import edges
from trifocal.data.regions import Box, scaled
from trifocal.errors import UserError
from trifocal.files import SOFTWARE, SOFTWARE_TAG, atomic_write, check_file

_KIND = "picture"
FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
PAPER, INK, FAINT = "#ffffff", "#212529", "#6c757d"
MARK, BAR, TRACK = "#d55e00", "#0072b2", "#e9ecef"


def check_picture(path: str | os.PathLike[str]) -> None:
    """Refuse a path that `save_picture` would refuse.

    Raises:
        UserError: it ends otherwise, or there is a file that is no picture of ours.
    """
    if Path(path).suffix.lower() not in FORMATS:
        raise UserError(f"{path} is to be a picture; end it in {', '.join(FORMATS)}.")
    check_file(path, _KIND, force=True)


def save_picture(path: str | os.PathLike[str], picture: Image.Image) -> None:
    """Write a picture as PNG, JPEG or WebP, by the suffix; it is wholly there or unchanged.

    An older picture of ours is drawn anew; any other file is kept.

    Raises:
        UserError: see `check_picture`, or nothing can be written there.
    """
    check_picture(path)
    exif = Image.Exif()
    exif[SOFTWARE_TAG] = SOFTWARE
    with atomic_write(path, _KIND, force=True) as aside:
        picture.save(aside, format=FORMATS[Path(path).suffix.lower()], quality=92, exif=exif)


def marked(image: Image.Image, boxes: Sequence[Box], side: int) -> Image.Image:
    """Return the picture with its longer side so many pixels long, its boxes outlined."""
    scale = side / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    picture = image.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    draw = ImageDraw.Draw(picture)
    for box in scaled(boxes, image.size, size):
        left, top, right, bottom = edges(box)
        left, top = max(left, 0), max(top, 0)
        right, bottom = min(right, size[0]) - 1, min(bottom, size[1]) - 1
        corners = (left, top, max(right, left), max(bottom, top))
        # A white rim makes the line visible on any ground.
        draw.rectangle(corners, outline=PAPER, width=6)
        draw.rectangle(corners, outline=MARK, width=4)
    return picture


def draw_bar(
    draw: ImageDraw.ImageDraw,
    frame: tuple[int, int, int, int],
    start: float,
    stop: float,
    color: str,
) -> None:
    """Draw a track, and on it a bar between two shares of its length."""
    left, top, right, bottom = frame
    radius, length = (bottom - top) // 2, right - left
    draw.rounded_rectangle((left, top, right - 1, bottom), radius, TRACK)
    begin = left + round(start * length)
    end = max(begin + 2 * radius, left + round(stop * length))
    draw.rounded_rectangle((begin, top, min(end, right) - 1, bottom), radius, color)


def cut(line: str, width: int, face: ImageFont.FreeTypeFont) -> str:
    """Return a line that fits, with an ellipsis where letters had to go."""
    line = line[: 2 * width]  # a letter is more than half a pixel wide
    if face.getlength(line) <= width:
        return line
    while line and face.getlength(f"{line} …") > width:
        line = line[:-1].rstrip(" …")
    return f"{line} …"


@lru_cache(maxsize=8)
def font(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """Return DejaVu Sans, which comes with matplotlib and knows most alphabets."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(mpl.get_data_path(), "fonts", "ttf", name), size)
