"""Where Sherlock's files and pictures usually lie, and in plain words what is not there."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

from trifocal.data.json_stream import json_list
from trifocal.data.sherlock_files import ImageRoots
from trifocal.errors import UserError
from trifocal.metrics.benchmark import Missing

FILES = "get it from github.com/allenai/sherlock (CC BY 4.0)"
_PUBLISHED = "sherlock_{split}_with_split_idxs_v1_1.json"
_USUAL = ("sherlock_{split}*.json", "sherlock_{split}*.zip", "{split}.json", "{split}.json.zip")
_TRIES = 20  # pictures looked for before the file's own folder is taken
_PHOTOS = {
    "vg": (
        "get Visual Genome's photos, images.zip and images2.zip (15 GB), from "
        "homes.cs.washington.edu/~ranjay/visualgenome, unpacked as VG_100K and VG_100K_2"
    ),
    "vcr": (
        "get VCR's frames, vcr1images.zip, from visualcommonsense.com (after registration), "
        "unpacked as vcr1images"
    ),
    "images": "put the pictures that the annotation file names there",
}


def annotation_file(root: Path, split: str, given: str | Path | None = None) -> Path | None:
    """Return the annotation file of a split: `given`, or one of a usual name; None without."""
    if given is not None:
        return Path(given) if Path(given).is_file() else None
    for folder in (root, root / "sherlock", root / "annotations", root / "data"):
        for pattern in (_PUBLISHED, *_USUAL):
            found = sorted(folder.glob(pattern.format(split=split)))
            if found:
                return found[0]
    return None


def missing_annotations(root: Path, split: str, given: str | Path | None = None) -> Missing:
    """Return the sentence for a split without any file."""
    path = root / _PUBLISHED.format(split=split) if given is None else given
    return Missing(str(path), f"{FILES}, or the leaderboard's {split} instances beside it")


def image_roots(
    root: Path,
    file: Path | None,
    images: str | Path | None = None,
    vg: str | Path | None = None,
    vcr: str | Path | None = None,
) -> ImageRoots:
    """Return where pictures are, or (the first candidate) should be.

    Relative paths start from the annotation file's folder; pictures may also lie beside `root`, the
    benchmark's folder, for several to share. `images`, `vg` and `vcr` are folders that were given.
    """
    bases = [Path(images)] if images is not None else [root, root.resolve().parent]
    return ImageRoots(
        vg=vg or _holder(bases, ("VG_100K", "VG_100K_2"), ("", "vg", "VG", "images")),
        vcr=vcr or _holder(bases, ("vcr1images",), ("", "vcr", "VCR", "images")),
        images=images or local_root(file, root),
    )


def local_root(file: Path | None, root: Path) -> Path:
    """Return the folder that the relative paths of an annotation file start from.

    It is the file's, or, where a picture is found so, the root or a folder around either.
    """
    if file is None:
        return root
    near = file.resolve()
    bases = [file.parent, root, near.parent.parent, root.resolve().parent]
    for entry in islice(json_list(file), _TRIES):
        try:
            url = entry["inputs"]["image"]["url"]
            found = [base for base in bases if os.path.isfile(ImageRoots(images=base).path(url))]
        except (KeyError, TypeError, UserError, AttributeError):
            break  # another's picture, or a fault that reading the file will name
        if found:
            return found[0]
    return file.parent


def absent_pictures(paths: Iterable[Path]) -> list[Missing]:
    """Return an entry for each folder of pictures from which some are missing."""
    folders: dict[tuple[str, Path], list[Path]] = {}
    for path in sorted(set(paths)):
        folders.setdefault(_folder_of(path), []).append(path)
    missing = []
    for (kind, folder), members in folders.items():
        absent = [path for path in members if not os.path.isfile(path)]
        if not absent:
            continue
        found = f"{len(absent)} of its {len(members)} pictures are not in {folder}"
        if not folder.is_dir():
            found = f"there is no folder {folder}, which should hold {len(members)} pictures"
        setting = f"set {kind} to where they are" if kind != "images" else "set images"
        remedy = (
            f"{found}; {_PHOTOS[kind]}, or {setting}, or set available_only=True to score the rest"
        )
        missing.append(Missing(str(absent[0]), remedy, len(absent)))
    return missing


def _holder(bases: Sequence[Path], inner: Sequence[str], below: Sequence[str]) -> Path:
    """Return the first folder that holds one of the `inner` folders."""
    for base in bases:
        for name in below:
            if any((base / name / folder).is_dir() for folder in inner):
                return base / name
    return bases[0]


def _folder_of(path: Path) -> tuple[str, Path]:
    """Return whose a picture is, and the folder that its download unpacks to."""
    if path.parent.name.startswith("VG_"):
        return "vg", path.parent
    if path.parent.parent.name == "vcr1images":
        return "vcr", path.parent.parent
    return "images", path.parent
