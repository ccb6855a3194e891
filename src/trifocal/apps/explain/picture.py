"""A picture of an explained region: its boxes drawn, the ranked explanations beside or below."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import matplotlib as mpl
from PIL import Image, ImageDraw, ImageFont

from trifocal.apps.explain.explanation import Explanation
from trifocal.data.boxes import edges
from trifocal.data.regions import Box, scaled
from trifocal.files import atomic_write

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}

_SIDE, _PANEL, _MARGIN = 640, 520, 24  # pixels: longer side of the picture, width of the texts
_WIDE = 1.9  # a picture wider than so many times its height has the texts below
_ROWS, _LINES = 12, 3  # explanations drawn, and lines of one at most
_SIZE, _SMALL, _LEADING, _GAP = 19, 15, 26, 14
PAPER, INK, FAINT = "#ffffff", "#212529", "#6c757d"
MARK, BAR, TRACK = "#d55e00", "#0072b2", "#e9ecef"


def save_picture(
    path: str | os.PathLike[str],
    image: Image.Image,
    boxes: Sequence[Box],
    explanations: Sequence[Explanation],
    note: str = "",
) -> None:
    """Write `explained_picture` as PNG, JPEG or WebP, by the suffix; see there."""
    with atomic_write(path) as aside:
        drawn = explained_picture(image, boxes, explanations, note)
        drawn.save(aside, format=FORMATS[Path(path).suffix.lower()], quality=92)


def explained_picture(
    image: Image.Image,
    boxes: Sequence[Box],
    explanations: Sequence[Explanation],
    note: str = "",
) -> Image.Image:
    """Return an RGB picture of a region and its explanations, the likeliest first.

    Bars begin at a cosine of 0; the likeliest has the full length.

    Args:
        image: The picture.
        boxes: The region, in its pixels.
        explanations: At least one; the first twelve are drawn.
        note: A line of small print, such as the model's name.
    """
    picture = marked(image, boxes)
    below = picture.width > _WIDE * picture.height
    width = max(picture.width, _PANEL) if below else _PANEL
    panel = _panel(explanations, note, width)
    if below:
        size = (width + 2 * _MARGIN, picture.height + panel.height + 3 * _MARGIN)
        place = (_MARGIN, picture.height + 2 * _MARGIN)
    else:
        high = max(picture.height, panel.height)
        size = (picture.width + width + 3 * _MARGIN, high + 2 * _MARGIN)
        place = (picture.width + 2 * _MARGIN, _MARGIN)
    page = Image.new("RGB", size, PAPER)
    page.paste(picture, (_MARGIN, _MARGIN))
    page.paste(panel, place)
    return page


def marked(image: Image.Image, boxes: Sequence[Box], side: int = _SIDE) -> Image.Image:
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


def _panel(explanations: Sequence[Explanation], note: str, width: int) -> Image.Image:
    shown = explanations[:_ROWS]
    indent = 40
    wrapped = [_wrapped(one.text, width - indent) for one in shown]
    height = sum(_LEADING * len(lines) + _LEADING + _GAP for lines in wrapped) + 2 * _LEADING
    panel = Image.new("RGB", (width, height), PAPER)
    draw, y = ImageDraw.Draw(panel), 0
    high = max(max(one.score for one in shown), 1e-6)
    number = round(font(_SMALL).getlength("-0.0000")) + 8
    for one, lines in zip(shown, wrapped):
        draw.text((0, y), f"{one.rank}", MARK, font(_SIZE, bold=True))
        for line in lines:
            draw.text((indent, y), line, INK, font(_SIZE))
            y += _LEADING
        draw.text((indent, y + 2), f"{one.score:.3f}", FAINT, font(_SMALL))
        start, end, middle = indent + number, width, y + 11
        share = max(one.score, 0) / high
        draw.rounded_rectangle((start, middle - 3, end - 1, middle + 3), 3, TRACK)
        length = max(7, round(share * (end - start)))
        draw.rounded_rectangle((start, middle - 3, start + length - 1, middle + 3), 3, BAR)
        y += _LEADING + _GAP
    more = f"and {len(explanations) - _ROWS} more" if len(explanations) > _ROWS else ""
    for line in filter(None, (more, note)):
        draw.text((0, y), cut(line, width, font(_SMALL)), FAINT, font(_SMALL))
        y += _LEADING
    return panel.crop((0, 0, width, y))


def _wrapped(text: str, width: int) -> list[str]:
    """Return a text in lines no wider than `width`, the last one cut where there are too many."""
    face, lines = font(_SIZE), [""]
    for word in text.split():
        joined = f"{lines[-1]} {word}".strip()
        if face.getlength(joined) <= width or not lines[-1]:
            lines[-1] = joined
        elif len(lines) == _LINES:
            lines[-1] = f"{joined} …"
            break
        else:
            lines.append(word)
    return [cut(line, width, face) for line in lines]


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
