"""Regions of pictures, and what is said about them: the sample, and a source made of items.

The terms are Sherlock's (Hessel et al., ECCV 2022): a region is one or more boxes that together
mark a piece of evidence, a clue says literally what is there, an inference what follows from it.
Boxes are (left, top, width, height) in pixels, from the top left corner.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from trifocal.data.file_part import FilePart
from trifocal.data.images import Stored, open_stored

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

logger = logging.getLogger(__name__)

Box = tuple[float, float, float, float]

UNIT = (1, 1)  # the frame of boxes that are shares of the picture as it is shown
_SAME_SHAPE = 0.1  # by how much the log of two ratios of sides may differ


@dataclass(frozen=True)
class Region:
    """A part of a picture.

    Attributes:
        image: The picture, or where it is.
        boxes: One or several boxes.
        frame: Width and height that the boxes were measured in; None for those of the picture as
            it is shown. A file may have been scaled since; and where the frame is that of a photo
            as it is stored, which its EXIF orientation turns, the boxes turn with it.
    """

    image: str | Path | Image.Image
    boxes: tuple[Box, ...]
    frame: tuple[int, int] | None = None

    def __hash__(self) -> int:
        """Let pictures that are open be told apart too; Pillow's cannot be hashed."""
        image = self.image
        known = image if isinstance(image, str | Path) else image.size
        return hash((known, self.boxes, self.frame))

    def open(self, draft: int | None = None) -> tuple[Image.Image, tuple[Box, ...]]:
        """Return the picture as RGB, and the boxes in its pixels.

        Raises:
            BadImage: the picture cannot be read.
        """
        image = self.image
        if isinstance(image, str | Path):
            image, stored = open_stored(image, draft=draft)
        else:
            image = image if image.mode == "RGB" else image.convert("RGB")
            stored = Stored(image.size)
        boxes, frame = self.boxes, self.frame or stored.upright
        if self.frame and _measured_as_stored(self.frame, stored, str(self.image)):
            boxes = turned(boxes, frame, stored.orientation)
            frame = Stored(frame, stored.orientation).upright
        return image, scaled(boxes, frame, image.size)


@dataclass(frozen=True)
class RegionItem:
    """A region with what is said about it.

    Attributes:
        id: Names it in logs and in results.
        region: The picture and its boxes.
        clue: What is literally there; may be empty where nobody wrote one.
        inference: What follows from it (or, in referring expressions, what points to it).
        proposals: Other boxes of the picture, where a detector or the annotations gave some.
    """

    id: str
    region: Region
    clue: str
    inference: str
    proposals: tuple[Box, ...] = ()


@dataclass
class RegionSample:
    """A region as training draws it: the picture open, boxes in its pixels.

    Attributes:
        id: Names the sample in logs and error messages.
        image: An RGB picture.
        boxes: The region's boxes, in pixels of `image`.
        clue: What is literally there.
        inference: What follows from it.
        proposals: Other boxes of the picture, to draw wrong regions from.
    """

    id: str
    image: Image.Image
    boxes: tuple[Box, ...]
    clue: str
    inference: str
    proposals: tuple[Box, ...] = ()


class RegionDataset:
    """Annotated regions as a source for training.

    Args:
        items: The annotations.
        draft: Let JPEGs be decoded at a reduced scale that still covers this many pixels.
    """

    def __init__(self, items: Sequence[RegionItem], *, draft: int | None = None) -> None:
        self.items, self.draft = items, draft

    def __len__(self) -> int:
        return len(self.items)

    def sample(self, index: int, rng: np.random.Generator) -> RegionSample:
        """Open the picture of item `index`.

        Raises:
            BadImage: the picture cannot be read.
        """
        item = self.items[index]
        boxes = item.region.boxes
        image, placed = replace(item.region, boxes=(*boxes, *item.proposals)).open(self.draft)
        own, proposals = placed[: len(boxes)], placed[len(boxes) :]
        return RegionSample(item.id, image, own, item.clue, item.inference, proposals)

    def file_part(self, index: int) -> FilePart | None:
        """Return where the picture of item `index` lies; None where it is open."""
        image = self.items[index].region.image
        return FilePart(str(image)) if isinstance(image, str | Path) else None


def scaled(boxes: Iterable[Box], frame: tuple[int, int], size: tuple[int, int]) -> tuple[Box, ...]:
    """Return boxes measured in a picture of size `frame` (width, height) for one of `size`."""
    if frame == size:
        return tuple(boxes)
    x, y = size[0] / frame[0], size[1] / frame[1]
    return tuple((left * x, top * y, width * x, height * y) for left, top, width, height in boxes)


def turned(boxes: Iterable[Box], size: tuple[int, int], orientation: int) -> tuple[Box, ...]:
    """Return boxes of a stored picture as they lie in the upright one.

    Args:
        boxes: In pixels of the stored picture.
        size: Its width and height.
        orientation: EXIF's, 1 to 8.
    """
    made = []
    for left, top, width, height in boxes:
        x = size[0] - left - width if orientation in (2, 3, 7, 8) else left
        y = size[1] - top - height if orientation in (3, 4, 6, 7) else top
        made.append((y, x, height, width) if orientation > 4 else (x, y, width, height))
    return tuple(made)


def _measured_as_stored(frame: tuple[int, int], stored: Stored, name: str) -> bool:
    """Return whether boxes are those of the picture in the file, before it is turned upright."""
    if frame == UNIT:
        return False
    shape, upright = (
        math.log(frame[0] / frame[1]),
        math.log(stored.upright[0] / stored.upright[1]),
    )
    as_stored, as_shown = abs(shape + upright), abs(shape - upright)
    if stored.orientation < 5:
        as_stored = as_shown
    slack = _SAME_SHAPE + 1 / min(*frame, *stored.size)
    if min(as_stored, as_shown) > slack:
        _warn_once(
            f"{name}: boxes were measured in a picture of {frame[0]}x{frame[1]} pixels, and this one "
            f"of {stored.upright[0]}x{stored.upright[1]} has another shape; boxes are stretched"
        )
    if stored.orientation == 1:
        return False
    if as_stored == as_shown:
        _warn_once(
            f"{name}: its EXIF orientation ({stored.orientation}) turns it, and its size does not "
            "tell whether boxes were measured before or after; they are taken to be those of the "
            "stored pixels; save the picture upright if they are not"
        )
    return as_stored <= as_shown


@lru_cache(maxsize=4096)
def _warn_once(message: str) -> None:
    logger.warning("%s", message)
