"""Regions of pictures, and what is said about them: the sample, and a source made of items.

The terms are Sherlock's (Hessel et al., ECCV 2022): a region is one or more boxes that together
mark a piece of evidence, a clue says literally what is there, an inference what follows from it.
Boxes are (left, top, width, height) in pixels, from the top left corner.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trifocal.data.images import open_image

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Region:
    """A part of a picture.

    Attributes:
        image: The picture, or where it is.
        boxes: One or several boxes.
        frame: Width and height that the boxes were measured in; None for the picture's own. A
            file may have been scaled since.
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
            image = open_image(image, draft=draft)
        elif image.mode != "RGB":
            image = image.convert("RGB")
        return image, scaled(self.boxes, self.frame or image.size, image.size)


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
        image, boxes = item.region.open(self.draft)
        frame = item.region.frame or image.size
        proposals = scaled(item.proposals, frame, image.size)
        return RegionSample(item.id, image, boxes, item.clue, item.inference, proposals)


def scaled(boxes: Iterable[Box], frame: tuple[int, int], size: tuple[int, int]) -> tuple[Box, ...]:
    """Return boxes measured in a picture of size `frame` (width, height) for one of `size`."""
    if frame == size:
        return tuple(boxes)
    x, y = size[0] / frame[0], size[1] / frame[1]
    return tuple((left * x, top * y, width * x, height * y) for left, top, width, height in boxes)
