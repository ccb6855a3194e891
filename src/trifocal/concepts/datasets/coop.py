"""The eleven data sets of CoOp (Zhou et al., arXiv 2109.01134), as their authors publish them.

A data set is a folder under a common root, with CoOp's split file in it (ImageNet and FGVC-Aircraft
have none). The folder may have CoOp's name, another usual one (CLIP-LoRA's), or the data set's key here.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from trifocal.concepts.datasets import fgvc, imagenet
from trifocal.concepts.datasets.dataset import PARTS, ImageClasses, LabeledImage
from trifocal.concepts.datasets.folders import read_folder
from trifocal.concepts.datasets.raw_splits import RAW_SPLITS
from trifocal.concepts.datasets.split_files import Split, absent, check_names, read_split
from trifocal.concepts.prompts import Protocol, class_name, templates
from trifocal.errors import UserError, nearest
from trifocal.metrics.benchmark import Missing, require

logger = logging.getLogger(__name__)

_SPLITS = (
    "put CoOp's split file there (github.com/KaiyangZhou/CoOp, DATASETS.md, or splits/ of "
    "github.com/linzhiqiu/cross_modal_adaptation)"
)


@dataclass(frozen=True)
class Layout:
    """Where a data set's files are."""

    folders: tuple[str, ...]  # names its folder may have, CoOp's first
    images: str  # folder of the pictures in it
    split: str | None  # coOp's split file; None for a data set that comes with its own parts
    source: str  # where to get it


DATASETS: dict[str, Layout] = {
    "imagenet": Layout(("imagenet", "ImageNet"), "", None, "image-net.org (ILSVRC2012)"),
    "caltech101": Layout(
        ("caltech-101", "Caltech101", "caltech101"),
        "101_ObjectCategories",
        "split_zhou_Caltech101.json",
        "data.caltech.edu (Caltech 101)",
    ),
    "oxford_pets": Layout(
        ("oxford_pets", "OxfordPets"),
        "images",
        "split_zhou_OxfordPets.json",
        "robots.ox.ac.uk/~vgg/data/pets",
    ),
    "stanford_cars": Layout(
        ("stanford_cars", "StanfordCars"),
        "",
        "split_zhou_StanfordCars.json",
        "a mirror of Stanford Cars with cars_train/ and cars_test/ (its own host is gone)",
    ),
    "oxford_flowers": Layout(
        ("oxford_flowers", "Flower102"),
        "jpg",
        "split_zhou_OxfordFlowers.json",
        "robots.ox.ac.uk/~vgg/data/flowers/102",
    ),
    "food101": Layout(
        ("food-101", "Food101", "food101"),
        "images",
        "split_zhou_Food101.json",
        "data.vision.ee.ethz.ch/cvl/datasets_extra/food-101",
    ),
    "fgvc_aircraft": Layout(
        ("fgvc_aircraft", "FGVCAircraft", "fgvc-aircraft-2013b/data"),
        "images",
        None,
        "robots.ox.ac.uk/~vgg/data/fgvc-aircraft",
    ),
    "sun397": Layout(
        ("sun397", "SUN397"),
        "SUN397",
        "split_zhou_SUN397.json",
        "a mirror of SUN397 (vision.princeton.edu/projects/2010/SUN is often down)",
    ),
    "dtd": Layout(
        ("dtd", "DTD"),
        "images",
        "split_zhou_DescribableTextures.json",
        "robots.ox.ac.uk/~vgg/data/dtd",
    ),
    "eurosat": Layout(
        ("eurosat", "EuroSAT"),
        "2750",
        "split_zhou_EuroSAT.json",
        "github.com/phelber/EuroSAT",
    ),
    "ucf101": Layout(
        ("ucf101", "UCF101"),
        "UCF-101-midframes",
        "split_zhou_UCF101.json",
        "the middle frames that CoOp's DATASETS.md links to",
    ),
}


def read_dataset(
    name: str,
    root: str | Path,
    *,
    protocol: Protocol = "tip",
    missing: Literal["error", "skip"] = "error",
) -> ImageClasses:
    """Read a data set.

    Args:
        name: One of `DATASETS`, or the name of any folder or table under `root` that `read_folder`
            reads.
        root: The folder that the data sets are in, or the data set's own folder.
        protocol: Whose prompts (see `trifocal.concepts.prompts.templates`).
        missing: "skip" leaves out pictures that are not there, with a warning.

    Raises:
        UserError: there is no such data set; files are missing, with where they belong and where
            they come from; a file is malformed.
    """
    if name not in DATASETS:
        return read_folder(_elsewhere(name, Path(root).expanduser()))
    layout, folder = DATASETS[name], find_folder(name, root)
    require(_needed(name, folder), name)
    if layout.split is not None and not (folder / layout.split).is_file():
        logger.warning(
            "%s is missing, so %s is split at random here (seed 1); that is not the published "
            "split, and numbers on it do not compare with published ones; %s",
            folder / layout.split,
            name,
            _SPLITS,
        )
    split, images = _read(name, folder), folder / layout.images
    if name == "imagenet":  # in its list of names, two occur twice
        images = imagenet.images_root(folder)
    else:
        check_names([class_name(one) for one in split.classnames], split.classnames)
        split = _present(split, images, layout, missing, name)
    return ImageClasses(
        name=name,
        images=images,
        classnames=tuple(class_name(one) for one in split.classnames),
        templates=templates(name, protocol),
        train=split.train,
        val=split.val,
        test=split.test,
    )


def check_dataset(name: str, root: str | Path) -> list[Missing]:
    """Return what is missing of a data set: folders, annotation files, pictures.

    Args:
        name: One of `DATASETS`.
        root: As for `read_dataset`.

    Raises:
        UserError: there is no such data set, or an annotation file is malformed.
    """
    if name not in DATASETS:
        raise UserError(
            f"there is no data set {name!r}; choose one of {', '.join(DATASETS)}."
            f"{nearest(name, DATASETS)}"
        )
    layout, folder = DATASETS[name], find_folder(name, root)
    missing = _needed(name, folder)
    if missing or name == "imagenet":
        return missing
    split, images = _read(name, folder), folder / layout.images
    gone = absent(images, [*split.train, *split.val, *split.test])
    return [Missing(str(images / gone[0]), _get(layout), len(gone))] if gone else []


def find_folder(name: str, root: str | Path) -> Path:
    """Return a data set's folder under a root, or the root if it is that folder.

    Where there is none, the place where CoOp has it.
    """
    root, layout = Path(root).expanduser(), DATASETS[name]
    names = (*layout.folders, name)
    marker = root / (
        layout.split or (fgvc.VARIANTS if name == "fgvc_aircraft" else imagenet.CLASSNAMES)
    )
    named_so = root.resolve().name.lower() in {one.lower() for one in names}
    # First, as a data set's folder may hold one of the same name (sun397/SUN397).
    if marker.is_file() or (named_so and (root / layout.images).is_dir()):
        return root
    return next((root / one for one in names if (root / one).is_dir()), root / layout.folders[0])


def _elsewhere(name: str, root: Path) -> Path:
    """Return the folder or table of a name that is not one of the eleven."""
    if (root / name).exists():
        return root / name
    raise UserError(
        f"there is no data set {name!r}, and no folder or table of that name in {root}; the data "
        f"sets known by name are {', '.join(DATASETS)}.{nearest(name, DATASETS)}"
    )


def _needed(name: str, folder: Path) -> list[Missing]:
    """Return what has to be there before anything can be read."""
    layout = DATASETS[name]
    if not folder.is_dir():
        return [Missing(str(folder), _get(layout))]
    if name == "imagenet":
        return imagenet.check_imagenet(folder)
    missing = []
    if not (folder / layout.images).is_dir():
        missing.append(Missing(str(folder / layout.images), _get(layout)))
    if layout.split is None:
        gone = [file for file in fgvc.FILES if not (folder / file).is_file()]
        return missing + [Missing(str(folder / file), _get(layout)) for file in gone]
    if not (folder / layout.split).is_file():
        gone = [file for file in RAW_SPLITS[name].files if not (folder / file).is_file()]
        if gone:
            remedy = f"{_SPLITS}, or get {gone[0]} of the data set for a split of one's own"
            missing.append(Missing(str(folder / layout.split), remedy))
    return missing


def _read(name: str, folder: Path) -> Split:
    """Read the parts from whichever files there are."""
    split_file = DATASETS[name].split
    if name == "imagenet":
        return imagenet.read_imagenet(folder)
    if split_file is None:
        return fgvc.read_variants(folder)
    if (folder / split_file).is_file():
        return read_split(folder / split_file)
    return RAW_SPLITS[name].read(folder)


def _present(
    split: Split, images: Path, layout: Layout, missing: Literal["error", "skip"], name: str
) -> Split:
    """Return a split without pictures that are not there, or raise."""
    parts: dict[str, Sequence[LabeledImage]] = {part: getattr(split, part) for part in PARTS}
    gone = set(absent(images, [item for part in PARTS for item in parts[part]]))
    if not gone:
        return split
    total = sum(map(len, parts.values()))
    if missing == "error" or len(gone) == total:
        first = next(item.path for part in PARTS for item in parts[part] if item.path in gone)
        require([Missing(str(images / first), _get(layout), len(gone))], name)
    logger.warning(
        "%s: %d of %d pictures are missing in %s; left out", name, len(gone), total, images
    )
    kept = {part: [item for item in parts[part] if item.path not in gone] for part in PARTS}
    return replace(split, **kept)


def _get(layout: Layout) -> str:
    return f"get it from {layout.source}"
