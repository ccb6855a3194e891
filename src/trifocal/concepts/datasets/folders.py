"""Any pictures in class folders, or in a table, as a data set for few-shot learning.

Folders: `root/<class>/...`, or `root/train/<class>/...` with `val/` and `test/` beside it. A table:
CSV, TSV or JSON lines with a path, a class and perhaps a split. CoOp's form: a folder with one
`split_zhou_*.json`. Where no parts are given, each class is divided 50/20/30 % with a fixed seed.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from trifocal.concepts.datasets.class_table import read_class_table
from trifocal.concepts.datasets.dataset import ImageClasses, LabeledImage
from trifocal.concepts.datasets.parts import TEST, VAL, apart, divide
from trifocal.concepts.datasets.split_files import Split, absent, check_names, read_split
from trifocal.concepts.prompts import PHOTO, class_name
from trifocal.concepts.tasks.sampling import check_each_class
from trifocal.data.classes import class_folders, pictures, readable, warn_of_wnids
from trifocal.data.copies import copies
from trifocal.data.images import EXTENSIONS
from trifocal.errors import UserError
from trifocal.tally import MOST_LEFT_OUT, Tally

logger = logging.getLogger(__name__)

PART_FOLDERS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}


def read_folder(
    root: str | Path,
    *,
    val: float = VAL,
    test: float = TEST,
    seed: int = 1,
    templates: Sequence[str] = PHOTO,
    most_left_out: float = MOST_LEFT_OUT,
) -> ImageClasses:
    """Read a folder of class folders, a table of pictures, or a folder with a CoOp split file.

    A class is named after its folder, in words. Pictures may lie at any depth below it. With a
    `val/` folder but no `test/`, `val/` is tested on, as with ImageNet, so that nothing is selected
    on it.

    Args:
        root: The folder or table.
        val: Share of each class for validation, where no parts are given.
        test: The same for test; every class keeps at least one picture for training.
        seed: Of this division.
        templates: Prompts with "{}" for the class name.
        most_left_out: The largest share of pictures that may be left out: of kinds that are not
            read, or copies of those in another part.

    Raises:
        UserError: there are no class folders, or one only; a class has no picture; two classes
            have one name; a test class is not among the training classes; a table or split file
            is malformed.
    """
    root = Path(root).expanduser()
    name = root.resolve().stem if root.is_file() else root.resolve().name
    if root.is_file():
        images, split = read_class_table(
            root, val=val, test=test, seed=seed, most_left_out=most_left_out
        )
    elif not root.is_dir():
        raise UserError(f"there is no folder {root}; give a folder with one folder per class.")
    elif splits := sorted(root.glob("split_zhou_*.json")):
        images, split = _with_split_file(root, splits)
    else:
        images, split = root, _class_folders(root, (val, test, seed), most_left_out)
    dataset = ImageClasses(
        name, images, split.classnames, tuple(templates), split.train, split.val, split.test
    )
    check_each_class(dataset)
    return dataset


def list_classes(
    folder: Path,
    labels: dict[str, int] | None = None,
    relative_to: Path | None = None,
    most_left_out: float = MOST_LEFT_OUT,
) -> tuple[list[str], list[LabeledImage]]:
    """List the pictures of a folder's class folders.

    Args:
        folder: Holds a folder per class.
        labels: Known labels by folder name; by default the folders are numbered as sorted.
        relative_to: What the paths start from; by default `folder`.
        most_left_out: The largest share of pictures that may be of kinds that are not read.

    Returns:
        The folders' names, and the pictures, sorted.

    Raises:
        UserError: a class folder has no picture, or is not in `labels`.
    """
    base, items, names = relative_to or folder, list[LabeledImage](), list[str]()
    tally = Tally(str(folder), most_left_out, "convert or remove them")
    for place in class_folders(folder, tally):
        found = pictures(place, tally)
        tally.use(len(found))
        if not found:
            raise UserError(
                f"the class folder {place} has no picture; put JPEG, PNG or WebP files there, or "
                "remove it."
            )
        if labels is not None and place.name not in labels:
            raise UserError(
                f"{place} is a class without training pictures; add a folder {place.name!r} to "
                "the training part, or remove it."
            )
        label = len(names) if labels is None else labels[place.name]
        items += [LabeledImage(path.relative_to(base).as_posix(), label) for path in found]
        names.append(place.name)
    tally.close()
    return names, items


def _class_folders(root: Path, shares: tuple[float, float, int], most_left_out: float) -> Split:
    """Read `root/<class>/...` or `root/train/<class>/...`."""
    parts = _part_folders(root)
    if parts is None:
        folders, items = list_classes(root, most_left_out=most_left_out)
        if not folders and any(path.suffix.lower() in EXTENSIONS for path in root.iterdir()):
            raise UserError(
                f"the pictures lie directly in {root}; sort them into one folder per class."
            )
        names = _names(folders, root)
        _warn_of_domains(root)
        same = copies([root / item.path for item in items], str(root))
        return Split(names, *divide(items, *shares, together=same))
    folders, train = list_classes(parts["train"], relative_to=root, most_left_out=most_left_out)
    names = _names(folders, parts["train"])
    labels = {folder: label for label, folder in enumerate(folders)}
    others = {
        part: list_classes(parts[part], labels, root, most_left_out)[1]
        for part in ("val", "test")
        if part in parts
    }
    if "test" not in others and "val" in others:
        others = {"test": others["val"]}
    split = Split(names, train, others.get("val", []), others.get("test", []))
    return apart(split, root, str(root), most_left_out)


def _part_folders(root: Path) -> dict[str, Path] | None:
    """Return the folders of the parts, or None where the folders are classes."""
    found: dict[str, Path] = {}
    folders = {path.name.lower(): path for path in class_folders(root)}
    for part, names in PART_FOLDERS.items():
        for name in names:
            if name in folders and class_folders(folders[name]):
                found.setdefault(part, folders[name])
    # A class may be called "train": parts are several, or all there is.
    return found if "train" in found and (len(found) > 1 or len(folders) == 1) else None


def _warn_of_domains(root: Path) -> None:
    """Tell of class folders that all hold the same folders: these may be the classes."""
    inner = [[one.name for one in class_folders(folder)] for folder in class_folders(root)]
    if len(inner[0]) > 1 and all(names == inner[0] for names in inner):
        logger.warning(
            "every class folder of %s holds the same folders (%s, ...); if these are the classes "
            "and the outer ones domains, give the folder of one domain, or for few-shot tests "
            "domains:%s",
            root,
            ", ".join(inner[0][:3]),
            root,
        )


def _names(folders: list[str], place: Path) -> tuple[str, ...]:
    if not folders:
        raise UserError(f"{place} has no class folders; make one folder per class.")
    names = tuple(readable(folder) for folder in folders)
    check_names(names, folders)
    warn_of_wnids(names, str(place))
    return names


def _with_split_file(root: Path, splits: list[Path]) -> tuple[Path, Split]:
    """Read a folder in CoOp's form; return the folder that the paths start from, too."""
    if len(splits) > 1:
        raise UserError(
            f"{root} has {len(splits)} split files ({splits[0].name}, {splits[1].name}); leave one."
        )
    split = read_split(splits[0])
    everything = [*split.train, *split.val, *split.test]
    places = (root, *class_folders(root))
    images = min(places, key=lambda place: len(absent(place, everything[:50])))
    gone = absent(images, everything)
    if gone:
        raise UserError(
            f"{len(gone)} pictures of {splits[0]} are missing (first {images / gone[0]}); put them "
            "there."
        )
    names = tuple(class_name(name) for name in split.classnames)
    check_names(names, split.classnames)
    copies([images / item.path for item in everything], str(splits[0]))  # it stays as published
    return images, Split(names, split.train, split.val, split.test)
