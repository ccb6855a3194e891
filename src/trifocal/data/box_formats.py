"""The forms that files and people write a box in, and what tells that it is another than stated."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, get_args

from trifocal.data.regions import Box
from trifocal.errors import UserError, nearest

BoxFormat = Literal["xywh", "xyxy", "cxcywh", "normalized"]
BOX_FORMATS: tuple[str, ...] = get_args(BoxFormat)
MEANING = (
    "xywh (left, top, width, height), xyxy (left, top, right, bottom), cxcywh (the center, width, "
    "height) or normalized (left, top, width, height as shares of the picture's sides)"
)
STATE = f"state box_format ({', '.join(BOX_FORMATS)}) if boxes are written so, or mend the file"
_SIDES = ("left", "top", "width", "height")
_FEW = 4  # pixels: in a picture of no more, a box of one pixel is no share
_NOTHING = 1e-9  # a side that is not above it is none
_SLACK = 0.02  # of a side, by which detectors and annotators miss the rim


def check_format(value: Any) -> BoxFormat | None:
    """Return a stated format, None where none is.

    Raises:
        UserError: it is none of `BOX_FORMATS`.
    """
    if value is not None and value not in BOX_FORMATS:
        hint = nearest(value, BOX_FORMATS) if isinstance(value, str) else ""
        raise UserError(f"box_format is {value!r}.{hint} It is one of {MEANING}.")
    return value


def read_box(value: Any, box_format: BoxFormat | None = None, *, empty: bool = False) -> Box:
    """Return left, top, width and height of a box.

    Args:
        value: What the file has: {left, top, width, height}, or four numbers in the format.
        box_format: What the four numbers are; "xywh" where it is not stated. Shares stay shares.
        empty: Let boxes of no area pass, as a detector may give them.

    Raises:
        ValueError: It is neither, or its sides are not positive numbers; a sentence's end.
    """
    sides: Sequence[Any]
    if isinstance(value, dict):
        absent = [side for side in _SIDES if side not in value]
        if absent:
            raise ValueError(f"has a box without {absent[0]}")
        sides, box_format = [value[side] for side in _SIDES], None
    elif isinstance(value, list | tuple) and len(value) == 4:
        sides = value
    else:
        raise ValueError("has a box that is not {left, top, width, height} or four numbers")
    for side in sides:
        if not is_number(side):
            raise ValueError(f"has a box with a side that is not a number of pixels ({side!r:.40})")
    box = from_format((sides[0], sides[1], sides[2], sides[3]), box_format)
    if not empty and not has_area(box):
        raise ValueError(f"has a box of no area ({box[2]:g} x {box[3]:g})")
    return box


def from_format(sides: Box, box_format: BoxFormat | None) -> Box:
    """Return left, top, width and height of a box in a format; shares stay shares."""
    a, b, c, d = sides
    if box_format == "xyxy":
        return a, b, c - a, d - b
    if box_format == "cxcywh":
        return a - c / 2, b - d / 2, c, d
    return sides


def read_proposals(value: Any, box_format: BoxFormat | None = None) -> tuple[Box, ...]:
    """Return a detector's list of boxes, without those of no area.

    Raises:
        ValueError: It is not a list of boxes; a sentence's end.
    """
    if not isinstance(value, list):
        raise ValueError("has proposals that are not a list")
    boxes = [read_box(box, box_format, empty=True) for box in value]
    return tuple(box for box in boxes if has_area(box))


def has_area(box: Box) -> bool:
    """Return whether a box has an area, and would have one in another frame, too."""
    return min(box[2], box[3]) > _NOTHING


def is_number(value: Any) -> bool:
    """Return whether JSON holds a number that can be a side in pixels."""
    good = isinstance(value, int | float) and not isinstance(value, bool)
    return good and abs(value) < 1e9 and math.isfinite(value)


def in_pixels(box: Box, box_format: BoxFormat | None, frame: tuple[int, int]) -> Box:
    """Return a box in pixels of its frame: shares are multiplied."""
    if box_format != "normalized":
        return box
    return box[0] * frame[0], box[1] * frame[1], box[2] * frame[0], box[3] * frame[1]


def fault(box: Box, box_format: BoxFormat | None, frame: tuple[int, int]) -> str:
    """Return what is wrong with a box of some area in its frame, or "".

    Args:
        box: Left, top, width and height, as `read_box` returns them.
        box_format: As it was stated.
        frame: Width and height of the picture it was measured in.
    """
    if box_format is None and in_shares(box, frame):
        return "box in shares of the picture, not in pixels"
    if box_format == "normalized" and max(map(abs, box)) > 1 + _SLACK:
        return "box of more than the whole, which is not normalized"
    left, top, width, height = in_pixels(box, box_format, frame)
    if left >= frame[0] or top >= frame[1] or left + width <= 0 or top + height <= 0:
        return f"box outside the picture of {frame[0]}x{frame[1]} pixels"
    return ""


def in_shares(box: Box, frame: tuple[int, int]) -> bool:
    """Return whether a box must be in shares of its frame: in pixels there would be at most one."""
    return max(map(abs, box)) <= 1 and max(frame) > _FEW


def fits(box: Box, frame: tuple[int, int]) -> bool:
    """Return whether a box in pixels ends inside its frame, but for a few pixels."""
    left, top, width, height = box
    return left + width <= frame[0] * (1 + _SLACK) and top + height <= frame[1] * (1 + _SLACK)


def fits_as_corners(box: Box, frame: tuple[int, int]) -> bool:
    """Return whether four numbers make sense as left, top, right and bottom."""
    left, top, right, bottom = box
    wide, high = frame[0] * (1 + _SLACK), frame[1] * (1 + _SLACK)
    return 0 <= left < right <= wide and 0 <= top < bottom <= high


class Corners:
    """Watches the boxes of a file for corners (left, top, right, bottom) taken for sizes.

    They are, where some end outside their picture and all of them make sense as corners.

    Args:
        source: The file, for the message.
    """

    def __init__(self, source: object) -> None:
        self.source, self.outside, self.first, self.all = source, 0, "", True

    def look(self, box: Box, frame: tuple[int, int], place: str) -> None:
        """Take note of four numbers whose format is not stated."""
        self.all = self.all and fits_as_corners(box, frame)
        if self.all and not fits(box, frame):
            self.first = self.first or place
            self.outside += 1

    def close(self, setting: str = "box_format") -> None:
        """Refuse the file, once all is read; the setting is what would say its format.

        Raises:
            UserError: They are corners.
        """
        if self.all and self.outside:
            raise UserError(
                f"{self.source}: as left, top, width and height, {self.outside:,} boxes end "
                f"outside their picture (first {self.first}), and all make sense as corners; state "
                f"{setting}: xyxy, or xywh if they are right as they are."
            )


class Placed:
    """Brings a detector's boxes into pixels, and refuses those that cannot be meant.

    Args:
        file: Where they are from, for messages.
        box_format: What the four numbers are; the setting that says it is "proposal_format".
    """

    def __init__(self, file: object, box_format: BoxFormat | None) -> None:
        self.file, self.corners = file, Corners(file)
        self.format: BoxFormat | None = box_format

    def __call__(
        self, boxes: tuple[Box, ...], frame: tuple[int, int], name: str
    ) -> tuple[Box, ...]:
        """Return the boxes of a picture of size `frame`, as `read_proposals` gave them, in pixels.

        Raises:
            UserError: Not one of them makes sense.
        """
        faults = [fault(box, self.format, frame) for box in boxes]
        if boxes and all(faults):
            remedy = STATE.replace("box_format", "proposal_format")
            raise UserError(
                f"{self.file}: of {name}, no box makes sense, the first a {faults[0]}; {remedy}."
            )
        if self.format is None:
            for box in boxes:
                self.corners.look(box, frame, name)
        return tuple(in_pixels(box, self.format, frame) for box in boxes)

    def close(self) -> None:
        """Refuse a file of corners, once all is read."""
        self.corners.close("proposal_format")
