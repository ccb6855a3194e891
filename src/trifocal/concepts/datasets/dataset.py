"""A classification data set: pictures with classes, in three parts, and how its classes are named.

All few-shot work starts from one of these, wherever it was read from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PARTS = ("train", "val", "test")


@dataclass(frozen=True, slots=True)
class LabeledImage:
    """A picture and the number of its class."""

    path: str  # relative to the image folder of its data set, with "/"
    label: int  # 0..D-1


@dataclass(frozen=True)
class ImageClasses:
    """A data set."""

    name: str  # key of the data set ("caltech101"), or the name of a folder
    images: Path  # folder that the paths start from
    classnames: tuple[str, ...]  # D names as a text tower should read them
    templates: tuple[str, ...]  # prompts with "{}" where the class name goes
    # The pool that support images are drawn from, in the order of its file: sampling depends on it.
    train: Sequence[LabeledImage]
    val: Sequence[LabeledImage] = ()  # for selection; may be empty
    test: Sequence[LabeledImage] = ()  # what heads are tested on; nothing is ever selected on it

    def files(self, part: Sequence[LabeledImage]) -> list[Path]:
        """Return where the pictures of a part are."""
        return [self.images / one.path for one in part]
