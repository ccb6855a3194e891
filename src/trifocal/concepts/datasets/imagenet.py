"""ImageNet (Russakovsky et al., arXiv 1409.0575) in the two layouts that few-shot code expects.

CoOp's `images/train/<wnid>` and `images/val/<wnid>`, or CLIP-LoRA's `train/<wnid>` and
`val/<wnid>`; beside them `classnames.txt`. A class's label is the rank of its wnid. The validation
part is the test part, as everywhere in the field; there is no other (`sample_few_shot` can draw
validation pictures from the training part).
"""

from __future__ import annotations

import os
from pathlib import Path

from trifocal.concepts.datasets.dataset import LabeledImage
from trifocal.concepts.datasets.split_files import Split
from trifocal.data.classes import class_folders
from trifocal.data.images import EXTENSIONS
from trifocal.errors import UserError
from trifocal.metrics.benchmark import Missing

CLASSNAMES = "classnames.txt"
REMEDY = "get ImageNet (image-net.org, ILSVRC2012) and put its pictures there, a folder a wnid"
NAMES_REMEDY = (
    "put CoOp's classnames.txt there, with a wnid and a name a line "
    "(github.com/KaiyangZhou/CoOp, DATASETS.md)"
)


def images_root(folder: Path) -> Path:
    """Return the folder that holds `train` and `val`."""
    inner = folder / "images"
    return inner if (inner / "train").is_dir() or not (folder / "train").is_dir() else folder


def check_imagenet(folder: Path) -> list[Missing]:
    """Return what is missing: parts, the names, or classes' folders."""
    root = images_root(folder)
    missing = [
        Missing(str(root / part), REMEDY) for part in ("train", "val") if not (root / part).is_dir()
    ]
    if not (folder / CLASSNAMES).is_file():
        return [*missing, Missing(str(folder / CLASSNAMES), NAMES_REMEDY)]
    if missing:
        return missing
    wnids = list(read_classnames(folder / CLASSNAMES))
    for part in ("train", "val"):
        there = {path.name for path in class_folders(root / part)}
        gone = [wnid for wnid in wnids if wnid not in there]
        if gone:
            remedy = f"put the class's pictures there, or take it out of {CLASSNAMES}"
            missing.append(Missing(str(root / part / gone[0]), remedy, len(gone)))
    return missing


def read_imagenet(folder: Path) -> Split:
    """List the pictures; the paths start from `images_root(folder)`.

    Raises:
        UserError: `classnames.txt` is malformed, or lacks a class that has a folder, or a folder
            has no picture.
    """
    names = read_classnames(folder / CLASSNAMES)
    root = images_root(folder)
    labels = {wnid: label for label, wnid in enumerate(names)}
    train, test = (list_wnids(root / part, labels, f"{part}/") for part in ("train", "val"))
    return Split(tuple(names.values()), train, (), test)


def read_classnames(file: Path) -> dict[str, str]:
    """Return the names by wnid, in the order of the sorted wnids.

    Raises:
        UserError: the file cannot be read, or a line is not "wnid name".
    """
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {file} ({error}); {NAMES_REMEDY}.") from None
    names: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        wnid, _, name = line.strip().partition(" ")
        if not wnid:
            continue
        if not name.strip():
            raise UserError(f'line {number} of {file} is not "wnid name" ({line!r}).')
        if wnid in names:
            raise UserError(f"line {number} of {file} names {wnid} a second time.")
        names[wnid] = name.strip()
    if len(names) < 2:
        raise UserError(f"{file} names fewer than two classes; add the others.")
    return dict(sorted(names.items()))


def list_wnids(folder: Path, labels: dict[str, int], prefix: str = "") -> list[LabeledImage]:
    """List the pictures in the wnid folders of a folder, sorted.

    The order is by name, not as the disk lists them: a draw is the same on every machine.

    Args:
        folder: Holds a folder a wnid.
        labels: By wnid.
        prefix: What the paths begin with.

    Raises:
        UserError: a folder is none of the classes, or has no picture.
    """
    items: list[LabeledImage] = []
    for place in class_folders(folder):
        if place.name not in labels:
            raise UserError(
                f"{place} is a folder of no class in {CLASSNAMES}; add its name there, or move "
                "the folder away."
            )
        names = _picture_names(place)
        if not names:
            raise UserError(f"{place} has no picture; put the class's pictures there.")
        label = labels[place.name]
        items += [LabeledImage(f"{prefix}{place.name}/{name}", label) for name in names]
    return items


def _picture_names(folder: Path) -> list[str]:
    """Return the names of a folder's pictures, sorted; quick, as there may be a million."""
    names = os.listdir(folder)
    kept = (name for name in names if os.path.splitext(name)[1].lower() in EXTENSIONS)
    return sorted(name for name in kept if name[0] != ".")
