"""Sherlock's annotation files: regions with clues and inferences (Hessel et al., ECCV 2022).

A file is one JSON list, or a zip that holds one. Referring expressions are published in the same
layout, with the expression as the inference and a detector's boxes under `yolo_box`; the drawn
world is exported in it too. Boxes stay as they were annotated, even where they leave the picture
or are a pixel wide: clipping belongs to whoever cuts them out.
"""

from __future__ import annotations

import json
import logging
import os
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from trifocal.data.box_formats import (
    BOX_FORMATS,
    BoxFormat,
    Corners,
    fault,
    in_pixels,
    is_number,
    read_box,
    read_proposals,
)
from trifocal.data.json_stream import json_list
from trifocal.data.keys import check_keys
from trifocal.data.regions import Box, Region, RegionItem
from trifocal.errors import UserError
from trifocal.files import archive_comment, atomic_write
from trifocal.tally import Tally

logger = logging.getLogger(__name__)

VG, VCR, LOCAL = "vg", "vcr", "images"
_VCR_FOLDER = "vcr1images"
_SIDES = ("left", "top", "width", "height")


@dataclass(frozen=True)
class Instance:
    """An entry of an annotation file.

    Attributes:
        item: The region and what is said about it.
        url: The picture as the file names it; equal for regions of one picture.
        fold: Retrieval fold (`split_idx`); only validation files have it.
        confidence: How sure the annotator was, 1 (possible) to 3 (certain).
        observation: Index of the observation within the picture (`obs_idx`).
    """

    item: RegionItem
    url: str
    fold: int | None = None
    confidence: float | None = None
    observation: int | None = None


@dataclass(frozen=True)
class ImageRoots:
    """Where the pictures lie.

    Attributes:
        vg: Folder that holds Visual Genome's `VG_100K` and `VG_100K_2`.
        vcr: Folder that holds VCR's `vcr1images`, or that folder itself.
        images: Folder for everything else: paths in the file are relative to it.
    """

    vg: str | Path | None = None
    vcr: str | Path | None = None
    images: str | Path | None = None

    def path(self, url: str) -> Path:
        """Return where the picture of a URL lies; nothing is ever fetched.

        Visual Genome's keep the last two parts of the URL, VCR's the last three (two below a root
        that already is `vcr1images`). A relative path is kept whole. Of other URLs, and of
        absolute paths that do not exist here, the file name is looked for in `images`.

        Raises:
            UserError: The root it needs was not given, or the path leads out of it.
        """
        source = source_of(url)
        root = getattr(self, source)
        if source == LOCAL:
            parts, root = _local(url, root)
        else:
            parts = url.split("/")[-2:] if source == VG else url.split("/")[-3:]
            if root is not None and source == VCR and Path(root).name == _VCR_FOLDER:
                parts = parts[-2:]
        if root is None:
            raise UserError(
                f"where the picture {url} lies is not known; set {source} to {_HOLDS[source]}"
            )
        if any(part in ("", ".", "..") or "\\" in part or "\0" in part for part in parts):
            raise UserError(f"the picture {url!r} is not the path of a file below its folder")
        return Path(root, *parts)


_HOLDS = {
    VG: "the folder with Visual Genome's VG_100K and VG_100K_2",
    VCR: "the folder with VCR's vcr1images",
    LOCAL: "the folder that the file's paths start from",
}


def source_of(url: str) -> Literal["vg", "vcr", "images"]:
    """Return which root the picture of a URL belongs to."""
    if "VG_" in url:
        return VG
    return VCR if _VCR_FOLDER in url else LOCAL


def read_instances(
    path: str | os.PathLike[str],
    *,
    roots: ImageRoots | None = None,
    missing: Literal["keep", "drop", "error"] = "keep",
    box_format: BoxFormat | None = None,
    tally: Tally | None = None,
) -> list[Instance]:
    """Read an annotation file of the training, validation or referring-expression layout.

    Entries with a box wholly outside their picture, or in shares of it where that is not stated,
    are left out and told.

    Args:
        path: A `.json` file, or a `.zip` that holds one.
        roots: Where the pictures lie; by default paths are relative to the file's folder.
        missing: What becomes of entries whose picture is not there: "keep" does not look,
            "drop" leaves them out, "error" refuses the file.
        box_format: What four numbers are; {left, top, width, height} says so itself, but may be
            "normalized". Where it is not stated, "xywh" is taken, unless the boxes contradict.
        tally: Takes the account of the entries.

    Returns:
        The entries in the order of the file; boxes in pixels of the annotated picture
        (`region.frame`), as they were annotated.

    Raises:
        UserError: The file is not in this layout (the message names the entry), a box has no
            area, too many lie outside, or a picture is missing.
    """
    roots = roots or ImageRoots(*[Path(path).parent] * 3)
    tally = tally or Tally(str(path))
    tally.remedy = f"{tally.remedy}, or state box_format ({', '.join(BOX_FORMATS)})"
    paths: dict[str, Path] = {}
    corners, proposed = Corners(path), Corners(f"{path}, yolo_box")
    found: list[Instance] = []
    numbers = False  # whether there are boxes of four numbers, which box_format is about
    for number, entry in enumerate(json_list(path)):
        name = entry.get("instance_id", "") if isinstance(entry, dict) else ""
        label = f"entry {number}" + (f" ({name})" if isinstance(name, str) and name else "")
        try:
            one = _instance(entry, roots, paths, box_format)
        except (_FaultyEntry, UserError) as error:
            if isinstance(error, _Astray):
                tally.leave_out(str(error), label)
                continue
            told = f" {error}" if isinstance(error, _FaultyEntry) else f": {error}"
            raise UserError(f"{path}: {label}{told}") from None
        found.append(one)
        tally.use()
        numbers |= _numbers(entry["inputs"]["bboxes"]) or _numbers(entry.get("yolo_box") or [])
        if box_format is None:
            _look(corners, entry["inputs"]["bboxes"], one, one.item.region.boxes, label)
            _look(proposed, entry.get("yolo_box") or [], one, one.item.proposals, label)
    if box_format in ("xyxy", "cxcywh") and found and not numbers:
        raise UserError(
            f"{path}: all boxes say themselves that they are left, top, width and height, so "
            f"box_format {box_format} has no effect; leave it out."
        )
    corners.close()
    proposed.close()
    tally.close()
    if missing == "keep":
        return found
    absent = set(missing_images(found))
    if absent and missing == "error":
        more = f" and {len(absent) - 1} more" if len(absent) > 1 else ""
        raise UserError(f"{path}: the picture {min(absent)}{more} is missing; get the pictures")
    if absent:
        count = sum(one.item.region.image in absent for one in found)
        logger.warning(
            "%s: %s of %s entries left out, whose %s pictures are not there (first %s)",
            *(path, f"{count:,}", f"{len(found):,}", f"{len(absent):,}", min(absent)),
        )
    return [one for one in found if one.item.region.image not in absent]


def _numbers(boxes: list[Any]) -> bool:
    return any(isinstance(box, list) for box in boxes)


def _look(
    corners: Corners, raw: list[Any], one: Instance, boxes: Iterable[Box], place: str
) -> None:
    """Have boxes watched that do not say themselves what their numbers are."""
    frame = one.item.region.frame
    if _numbers(raw) and frame is not None:
        for box in boxes:
            corners.look(box, frame, place)


def missing_images(instances: Iterable[Instance]) -> list[Path]:
    """Return the pictures that are not there, sorted; each is looked for once."""
    images = (one.item.region.image for one in instances)
    paths = {Path(image) for image in images if isinstance(image, str | Path)}
    return sorted(path for path in paths if not os.path.isfile(path))


def write_instances(path: str | os.PathLike[str], instances: Iterable[Instance]) -> None:
    """Write entries as Sherlock's JSON list, one a line; a `.zip` path gets it compressed.

    `read_instances` gives the same entries back, as long as the roots are the same.

    Args:
        path: Ends in `.json` or `.zip`. It is written aside and then renamed; it must not exist.
        instances: Their regions must have a `frame`, which the layout records.
    """
    text = "[" + ",\n".join(json.dumps(_entry(one), allow_nan=False) for one in instances) + "]\n"
    target = Path(path)
    with atomic_write(target, "list of instances") as aside:
        if target.suffix != ".zip":
            aside.write_text(text, encoding="utf-8")
            return
        inner = target.stem if target.stem.endswith(".json") else f"{target.stem}.json"
        with zipfile.ZipFile(aside, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.comment = archive_comment("list of instances")
            archive.writestr(inner, text)


class _FaultyEntry(Exception):  # noqa: N818 - a sentence's end, to which the reader adds the name
    pass


class _Astray(_FaultyEntry):
    """An entry that a published file may have, and that nothing can be done with."""


_KEYS = {
    "": ("inputs", "targets", "instance_id", "split_idx", "yolo_box"),
    "inputs": ("image", "bboxes", "clue", "confidence", "obs_idx"),
    "inputs.image": ("url", "width", "height"),
    "targets": ("inference",),
}


def _check_keys(entry: dict[str, Any]) -> None:
    """Refuse slips of the pen, such as "yolo_boxes", of keys that need not be there."""
    for outer, known in _KEYS.items():
        place: Any = entry
        for key in filter(None, outer.split(".")):
            place = place.get(key) if isinstance(place, dict) else None
        if isinstance(place, dict):
            check_keys(place, known, slips=True)


def _instance(
    entry: Any, roots: ImageRoots, paths: dict[str, Path], box_format: BoxFormat | None
) -> Instance:
    if not isinstance(entry, dict):
        raise _FaultyEntry("is not a JSON object; is this a Sherlock file?")
    _check_keys(entry)
    image = _field(entry, dict, "inputs", "image")
    url = _field(entry, str, "inputs", "image", "url")
    frame = (_side(image, "width"), _side(image, "height"))
    boxes = _field(entry, list, "inputs", "bboxes")
    if not boxes:
        raise _FaultyEntry("has no box")
    if url not in paths:
        paths[url] = roots.path(url)
    try:
        boxes = [read_box(box, box_format) for box in boxes]
        proposals = read_proposals(entry.get("yolo_box") or [], box_format)
    except ValueError as error:
        raise _FaultyEntry(str(error)) from None
    astray = next(filter(None, (fault(box, box_format, frame) for box in boxes)), "")
    if not astray and proposals:
        each = [fault(box, box_format, frame) for box in proposals]
        astray = f"with a proposed {each[0]}" if all(each) else ""
    if astray:
        raise _Astray(astray)
    boxes = tuple(in_pixels(box, box_format, frame) for box in boxes)
    proposals = tuple(in_pixels(box, box_format, frame) for box in proposals)
    region = Region(paths[url], boxes, frame)
    inference = _field(entry, str, "targets", "inference")
    if not inference.strip():
        raise _FaultyEntry("has an empty inference")
    inputs = entry["inputs"]
    clue, fold = inputs.get("clue", ""), entry.get("split_idx")
    confidence, observation = inputs.get("confidence"), inputs.get("obs_idx")
    if not isinstance(clue, str):
        raise _FaultyEntry("has a clue that is not a text")
    if not all(value is None or is_number(value) for value in (fold, confidence, observation)):
        raise _FaultyEntry("has a split_idx, confidence or obs_idx that is not a number")
    name = _field(entry, str, "instance_id")
    item = RegionItem(name, region, clue, inference, proposals)
    return Instance(item, url, fold, confidence, observation)


def _field(entry: dict[str, Any], kind: type, *keys: str) -> Any:
    """Return a nested field of a type."""
    value: Any = entry
    for key in keys:
        if not isinstance(value, dict) or key not in value:
            raise _FaultyEntry(f"has no {'.'.join(keys)}")
        value = value[key]
    if not isinstance(value, kind):
        raise _FaultyEntry(f"has a {'.'.join(keys)} of another type than {_SAID[kind]}")
    return value


_SAID = {dict: "an object", list: "a list", str: "a text"}


def _side(image: dict[str, Any], name: str) -> int:
    value = image.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 1 << 31:
        raise _FaultyEntry(f"has no inputs.image.{name}, the annotated picture's in pixels")
    return value


def _local(url: str, root: str | Path | None) -> tuple[list[str], str | Path | None]:
    """Return the parts of a path that is neither Visual Genome's nor VCR's, and its root."""
    if "://" in url:
        return [url.split("/")[-1]], root
    if not url.startswith("/"):
        return list(PurePosixPath(url).parts), root
    path = Path(url)
    return (
        ([path.name], path.parent) if root is None or os.path.isfile(path) else ([path.name], root)
    )


def _entry(one: Instance) -> dict[str, Any]:
    """Return an instance in the order of the published files."""
    region, item = one.item.region, one.item
    if region.frame is None:
        raise ValueError(f"{item.id}: a region without a frame has no width and height to write")
    image = {"url": one.url, "width": region.frame[0], "height": region.frame[1]}
    boxes = [dict(zip(_SIDES, map(_plain, box), strict=True)) for box in region.boxes]
    inputs: dict[str, Any] = {"image": image, "bboxes": boxes, "clue": item.clue}
    if one.confidence is not None:
        inputs["confidence"] = one.confidence
    if one.observation is not None:
        inputs["obs_idx"] = one.observation
    entry: dict[str, Any] = {
        "inputs": inputs,
        "targets": {"inference": item.inference},
        "instance_id": item.id,
    }
    if one.fold is not None:
        entry["split_idx"] = one.fold
    if item.proposals:
        entry["yolo_box"] = [[_plain(side) for side in box] for box in item.proposals]
    return entry


def _plain(value: float) -> float:
    """Return whole numbers as integers, as the published files have them."""
    return int(value) if value == int(value) else float(value)
