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
    """A picture and the number of its class.

    Attributes:
        path: Relative to the image folder of its data set, with "/".
        label: 0..D-1.
    """

    path: str
    label: int


@dataclass(frozen=True)
class ImageClasses:
    """A data set.

    Attributes:
        name: Key of the data set ("caltech101"), or the name of a folder.
        images: Folder that the paths start from.
        classnames: D names as a text tower should read them.
        templates: Prompts with "{}" where the class name goes.
        train: The pool that support images are drawn from, in the order of its file (sampling
            depends on it).
        val: For selection; may be empty.
        test: What heads are tested on; nothing is ever selected on it.
    """

    name: str
    images: Path
    classnames: tuple[str, ...]
    templates: tuple[str, ...]
    train: Sequence[LabeledImage]
    val: Sequence[LabeledImage] = ()
    test: Sequence[LabeledImage] = ()

    def files(self, part: Sequence[LabeledImage]) -> list[Path]:
        """Return where the pictures of a part are."""
        return [self.images / one.path for one in part]
