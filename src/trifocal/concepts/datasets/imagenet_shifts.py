"""ImageNet's shifted test sets: V2, Sketch, A and R, with labels in ImageNet's class order.

Recht et al. (arXiv 1902.10811), Wang et al. (arXiv 1905.13549), Hendrycks et al. (arXiv 1907.07174
and 2006.16241), in the layout of CoOp (arXiv 2109.01134). Heads are fitted to ImageNet and tested
here as they are. A and R have 200 of the 1000 classes, and only these compete.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trifocal.concepts.datasets.coop import find_folder
from trifocal.concepts.datasets.dataset import LabeledImage
from trifocal.concepts.datasets.imagenet import CLASSNAMES, list_wnids, read_classnames
from trifocal.data.classes import class_folders, pictures
from trifocal.errors import UserError, nearest
from trifocal.metrics.benchmark import Missing, require

_IMAGENET = 1000  # classes


@dataclass(frozen=True)
class Shift:
    """One shifted test set."""

    # Where its class folders are under the common root: CoOp's place, then others.
    folders: tuple[str, ...]
    source: str  # where to get it
    classes: int = _IMAGENET  # how many of the 1000 it has
    checksum: int = _IMAGENET * (_IMAGENET - 1) // 2  # sum of their labels


SHIFTS: dict[str, Shift] = {
    "imagenetv2": Shift(
        (
            "imagenetv2/imagenetv2-matched-frequency-format-val",
            "imagenetv2-matched-frequency-format-val",
        ),
        "github.com/modestyachts/ImageNetV2 (matched frequency)",
    ),
    "imagenet_sketch": Shift(
        ("imagenet-sketch/images", "imagenet-sketch", "sketch"),
        "github.com/HaohanWang/ImageNet-Sketch",
    ),
    "imagenet_a": Shift(
        ("imagenet-adversarial/imagenet-a", "imagenet-a"),
        "github.com/hendrycks/natural-adv-examples",
        classes=200,
        checksum=102_178,
    ),
    "imagenet_r": Shift(
        ("imagenet-rendition/imagenet-r", "imagenet-r"),
        "github.com/hendrycks/imagenet-r",
        classes=200,
        checksum=86_135,
    ),
}


@dataclass(frozen=True)
class ShiftedTest:
    """Pictures to test a head on that was fitted elsewhere."""

    name: str  # key of the test set
    images: Path  # folder that the paths start from
    test: Sequence[LabeledImage]  # labels as in the data set that heads are fitted to
    candidates: tuple[int, ...] | None = None  # the classes that compete; None for all of them

    @property
    def files(self) -> list[Path]:
        """Where the pictures are."""
        return [self.images / one.path for one in self.test]


def read_shift(name: str, root: str | Path) -> ShiftedTest:
    """Read one of `SHIFTS`.

    Labels are ranks among the wnids of `classnames.txt`, beside the class folders, or ImageNet's.

    Args:
        name: "imagenetv2", "imagenet_sketch", "imagenet_a" or "imagenet_r".
        root: The folder that the data sets are in.

    Raises:
        UserError: something is missing, a folder is no class of ImageNet's, a class has no
            picture, or the classes are not those that the set was published with.
    """
    require(check_shift(name, root), name)
    folder, root = _folder(name, Path(root)), Path(root)
    labels = {wnid: label for label, wnid in enumerate(read_classnames(_names(folder, root)))}
    items = _numbered(folder, len(labels)) if name == "imagenetv2" else list_wnids(folder, labels)
    present = tuple(sorted({item.label for item in items}))
    shift = SHIFTS[name]
    # With other class names than ImageNet's 1000 there is nothing to compare with.
    if len(labels) == _IMAGENET and (len(present), sum(present)) != (shift.classes, shift.checksum):
        raise UserError(
            f"{folder} has {len(present)} classes with labels that sum to {sum(present)}, but "
            f"{name} has {shift.classes} that sum to {shift.checksum}; unpack it again."
        )
    return ShiftedTest(name, folder, items, present if len(present) < len(labels) else None)


def check_shift(name: str, root: str | Path) -> list[Missing]:
    """Return what is missing of a shifted test set.

    Raises:
        UserError: there is no such test set.
    """
    if name not in SHIFTS:
        raise UserError(
            f"there is no shifted test set {name!r}; choose one of {', '.join(SHIFTS)}."
            f"{nearest(name, SHIFTS)}"
        )
    folder = _folder(name, Path(root))
    if not folder.is_dir():
        return [Missing(str(folder), f"get it from {SHIFTS[name].source}")]
    names = _names(folder, Path(root))
    if not names.is_file():
        return [Missing(str(names), "put a copy of ImageNet's classnames.txt there")]
    return []


def _folder(name: str, root: Path) -> Path:
    places = [root / place for place in SHIFTS[name].folders]
    return next((place for place in places if place.is_dir()), places[0])


def _names(folder: Path, root: Path) -> Path:
    """Return the file of class names: the set's own copy, or ImageNet's."""
    places = (folder / CLASSNAMES, folder.parent / CLASSNAMES)
    own = next((place for place in places if place.is_file()), places[1])
    imagenet = find_folder("imagenet", root) / CLASSNAMES
    return own if own.is_file() or not imagenet.is_file() else imagenet


def _numbered(folder: Path, classes: int) -> list[LabeledImage]:
    """List V2, whose folders are named by label."""
    items: list[LabeledImage] = []
    for place in class_folders(folder):
        if not place.name.isdecimal() or int(place.name) >= classes:
            raise UserError(f"{place} is no label of 0 to {classes - 1}; move it away.")
        found = pictures(place)
        if not found:
            raise UserError(f"{place} has no picture; put the class's pictures there.")
        label = int(place.name)
        items += [LabeledImage(path.relative_to(folder).as_posix(), label) for path in found]
    return sorted(items, key=lambda item: (item.label, item.path))
