"""Boxes in a picture: reading, checking and clipping them, overlap, and boxes that are wrong.

A box is (left, top, width, height) in pixels, from the top left corner.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from trifocal.data.box_formats import (
    BoxFormat,
    fits,
    fits_as_corners,
    from_format,
    has_area,
    in_shares,
)
from trifocal.data.regions import Box
from trifocal.errors import UserError

_TRIES = 100  # random boxes drawn before the least overlapping one is taken
_LEAST = 2  # pixels that a side of a clipped box has at least


def parse_box(text: str, box_format: BoxFormat | None = None) -> Box:
    """Read "X,Y,W,H", or another format of four numbers; return left, top, width and height.

    Raises:
        UserError: the text is not four numbers.
    """
    try:
        left, top, width, height = (float(number) for number in text.split(","))
    except ValueError:
        raise UserError(
            f"cannot read the box {text!r}; give X,Y,W,H: left, top, width and height in pixels, "
            "such as 40,60,120,80."
        ) from None
    return from_format((left, top, width, height), box_format)


def check_box(
    box: Box,
    size: tuple[int, int],
    box_format: BoxFormat | None = None,
    stored: tuple[int, int] | None = None,
) -> Box:
    """Return a box that a user gave for a picture, if it makes sense.

    Args:
        box: Left, top, width and height in pixels.
        size: Width and height of the picture.
        box_format: What the user said the numbers are; where nothing was said, shares and corners
            that were taken for sizes are looked out for.
        stored: Width and height in its file, where EXIF turns it.

    Raises:
        UserError: it has no area, lies wholly outside the picture, is not finite, or must have
            been meant otherwise.
    """
    left, top, width, height = box
    shown = ",".join(f"{number:g}" for number in box)
    if not all(math.isfinite(number) for number in box):
        raise UserError(f"the box {shown} holds a number that is not finite; correct it.")
    if not has_area(box):
        raise UserError(f"the box {shown} has no area; give a width and a height above 0.")
    if box_format is None and in_shares(box, size):
        raise UserError(
            f"the box {shown} is in shares of the picture, not in its {size[0]}x{size[1]} pixels; "
            "give pixels, or state the box format: normalized."
        )
    if stored not in (None, size) and fits(box, stored) and not fits(box, size):
        raise UserError(
            f"the box {shown} fits the picture only as its file holds it, {stored[0]}x{stored[1]}; "
            f"EXIF turns it to {size[0]}x{size[1]}: measure the box there, or state the width and "
            "height that it was measured in, in a list of regions."
        )
    if box_format is None and not fits(box, size) and fits_as_corners(box, size):
        raise UserError(
            f"the box {shown} (left, top, width, height) ends outside the picture of "
            f"{size[0]}x{size[1]} pixels, and would not as left, top, right, bottom; state the box "
            "format: xyxy, or xywh if that is meant."
        )
    if left >= size[0] or top >= size[1] or left + width <= 0 or top + height <= 0:
        raise UserError(
            f"the box {shown} lies outside the picture of {size[0]}x{size[1]} pixels; "
            "give X,Y,W,H of a part of it."
        )
    return box


def edges(box: Box) -> tuple[int, int, int, int]:
    """Return (left, top, right, bottom) of a box in whole pixels, right and bottom exclusive.

    Raises:
        UserError: a number of the box is not finite.
    """
    left, top, width, height = box
    right, bottom = left + max(width, 0), top + max(height, 0)
    if not (math.isfinite(right) and math.isfinite(bottom)):
        raise UserError(f"the box {tuple(box)} holds a number that is not finite; correct it.")
    return round(left), round(top), round(right), round(bottom)


def clip_box(box: Box, size: tuple[int, int]) -> Box:
    """Return the part of a box inside a picture of `size` (width, height), in whole pixels.

    Each side is at least 2 pixels (or the picture's), so a box outside gives a bit of the rim.
    """
    left, top, right, bottom = edges(box)
    left, right = _clip(left, right, size[0])
    top, bottom = _clip(top, bottom, size[1])
    return left, top, right - left, bottom - top


def iou(a: Box, b: Box) -> float:
    """Return the intersection of two boxes over their union; 0 where neither has an area."""
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    union = max(a[2], 0) * max(a[3], 0) + max(b[2], 0) * max(b[3], 0) - shared
    return shared / union if union > 0 else 0.0


def wrong_region(
    boxes: Sequence[Box],
    proposals: Sequence[Box],
    size: tuple[int, int],
    rng: np.random.Generator,
) -> Box:
    """Draw a box of a picture of `size` (width, height) that is not the region (RCA on RefCOCO).

    One of the proposals whose IoU with every true box is below 0.5, of the parts inside the
    picture; where there is none, a random box of which the same holds. Where even that is not
    found (a picture of few pixels), the one that overlaps least.
    """
    shown = [clip_box(box, size) for box in boxes]

    def overlap(box: Box) -> float:
        return max((iou(clip_box(box, size), true) for true in shown), default=0.0)

    wrong = [box for box in proposals if overlap(box) < 0.5]
    if wrong:
        return wrong[int(rng.integers(len(wrong)))]
    least, best = math.inf, (0.0, 0.0, float(size[0]), float(size[1]))
    for _ in range(_TRIES):
        (left, right), (top, bottom) = (np.sort(rng.uniform(0, side, 2)) for side in size)
        drawn = (float(left), float(top), float(right - left), float(bottom - top))
        box = clip_box(drawn, size)
        shared = overlap(box)
        if shared < 0.5:
            return box
        if shared < least:
            least, best = shared, box
    return best


def _clip(low: int, high: int, side: int) -> tuple[int, int]:
    """Return the part of [low, high) inside [0, side), widened to the least length."""
    least = min(_LEAST, side)
    low, high = min(max(low, 0), side), min(max(high, 0), side)
    if high - low < least:
        low = min(max((low + high - least + 1) // 2, 0), side - least)
        high = low + least
    return low, high
