"""Marks that point a tower to a region of the whole picture: highlight, ellipse, box.

The three marks and their colors are RCA's (Zhang et al., ACM MM 2024, arXiv 2303.10428), the
highlight is that of Sherlock's CPT-CLIP. Pictures are RGB, boxes (left, top, width, height) in their pixels;
all boxes of a region are marked at once, in order, and what lies outside the picture is not seen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PIL import Image, ImageDraw

from trifocal.data.boxes import edges
from trifocal.data.regions import Box

_FILL, _OUTLINE, _OUTLINE_WIDTH = (255, 5, 205, 60), (5, 255, 55, 255), 3
_RED = (255, 0, 0)
_MARGIN = 8  # beyond it, a side of a rectangle cannot be seen, its line included
_REACH = 4  # an ellipse is drawn true as long as it is no larger than so many pictures


def highlight(image: Image.Image, boxes: Sequence[Box]) -> Image.Image:
    """Return the picture with its boxes tinted magenta and outlined green ("colorful prompt")."""
    marked = image.copy()
    corners = [_rectangle(box, image.size) for box in boxes]
    bounds = _bounds(corners, image.size)
    if bounds is None:
        return marked
    # Compositing the touched part alone gives the same pixels as compositing the whole picture.
    part = image.crop(bounds).convert("RGBA")
    layer = Image.new("RGBA", part.size, (0, 0, 0, 0))
    draw = ImageDraw.Draw(layer)
    x, y = bounds[:2]
    for left, top, right, bottom in corners:
        shape = (left - x, top - y, right - x, bottom - y)
        draw.rectangle(shape, fill=_FILL, outline=_OUTLINE, width=_OUTLINE_WIDTH)
    marked.paste(Image.alpha_composite(part, layer).convert("RGB"), (x, y))
    return marked


def ellipse(image: Image.Image, boxes: Sequence[Box]) -> Image.Image:
    """Return the picture with a red ellipse inscribed in each box."""
    marked = image.copy()
    draw, width = ImageDraw.Draw(marked), line_width(image.width)
    reach = _REACH * max(image.size)
    for box in boxes:
        corners = _limited(edges(box), -reach, (reach, reach))
        draw.ellipse(corners, outline=_RED, width=width)
    return marked


def box(image: Image.Image, boxes: Sequence[Box]) -> Image.Image:
    """Return the picture in gray, its boxes left in color and outlined red."""
    marked = image.convert("L").convert("RGB")
    draw, width = ImageDraw.Draw(marked), line_width(image.width)
    for one in boxes:
        left, top, right, bottom = inside = _limited(edges(one), 0, image.size)
        if left < right and top < bottom:
            marked.paste(image.crop(inside), (left, top))
        draw.rectangle(_rectangle(one, image.size), outline=_RED, width=width)
    return marked


MARKS: dict[str, Callable[[Image.Image, Sequence[Box]], Image.Image]] = {
    "highlight": highlight,
    "ellipse": ellipse,
    "box": box,
}


def line_width(width: int) -> int:
    """Return the width of a red line in a picture `width` pixels wide; 0 (no line) below 50."""
    return min(2 * width // 100, 5)


def _limited(
    corners: tuple[int, int, int, int], low: int, high: tuple[int, int]
) -> tuple[int, int, int, int]:
    """Return the corners with x within [low, high[0]] and y within [low, high[1]]."""
    left, top, right, bottom = corners
    return (
        min(max(left, low), high[0]),
        min(max(top, low), high[1]),
        min(max(right, low), high[0]),
        min(max(bottom, low), high[1]),
    )


def _rectangle(box: Box, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return the inclusive corners to draw: those of a huge box end just out of sight."""
    return _limited(edges(box), -_MARGIN, (size[0] + _MARGIN, size[1] + _MARGIN))


def _bounds(
    corners: Sequence[tuple[int, int, int, int]], size: tuple[int, int]
) -> tuple[int, int, int, int] | None:
    """Return the part of the picture that rectangles may touch, exclusive; None for none of it."""
    if not corners:
        return None
    spill = _OUTLINE_WIDTH  # the outline of a box smaller than itself reaches out of it
    left, top = (max(0, min(c[i] for c in corners) - spill) for i in (0, 1))
    right, bottom = (min(size[i], max(c[i + 2] for c in corners) + 1 + spill) for i in (0, 1))
    return (left, top, right, bottom) if left < right and top < bottom else None
