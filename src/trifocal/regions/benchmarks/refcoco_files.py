"""Files of referring expressions: RefCOCO's own two, exports of them, and Sherlock's layout.

RefCOCO, RefCOCO+ (Yu et al., ECCV 2016) and RefCOCOg (Mao et al., CVPR 2016) are published as
`instances.json`, in COCO's format, and a pickle such as `refs(unc).p` with the expressions. A
pickle can run code, so only its export `refs(unc).json` is read; `convert_refs` makes one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trifocal.data.box_formats import (
    STATE,
    BoxFormat,
    Corners,
    Placed,
    fault,
    has_area,
    in_pixels,
    read_box,
    read_proposals,
)
from trifocal.data.json_stream import json_file, json_list
from trifocal.data.regions import Box
from trifocal.data.sherlock_files import ImageRoots, read_instances
from trifocal.errors import UserError
from trifocal.files import atomic_write, check_file
from trifocal.regions.benchmarks.refs_pickle import unpickle_plain

GROUND_TRUTH = "ground_truth"
_KIND = "list of references"
_MAX_SENTENCES = 5_000_000
_REF = ("ref_id", "ann_id", "image_id", "split", "sentences")


@dataclass(frozen=True)
class Question:
    """One expression: which box does it point to?"""

    id: str  # names it in messages
    split: str  # "val", "testA", and so on
    text: str  # the expression
    box: Box  # the box it points to, in pixels of a picture of size `frame`
    image: Path  # the picture
    frame: tuple[int, int]  # width and height of the picture as annotated
    proposals: tuple[Box, ...]  # boxes to choose from; without any the question counts as an error


def read_refcoco(
    instances: str | os.PathLike[str],
    refs: str | os.PathLike[str],
    images: Path,
    proposals: str | Path = GROUND_TRUTH,
    *,
    box_format: BoxFormat | None = None,
    proposal_format: BoxFormat | None = None,
) -> list[Question]:
    """Read the expressions of all splits.

    Args:
        instances: `instances.json`, in COCO's format.
        refs: The export of the references, a JSON list of {ref_id, ann_id, image_id, split,
            sentences: [{sent, ...}], ...}.
        images: Folder of the pictures.
        proposals: "ground_truth" for all annotated boxes of the picture, or a file of a
            detector's boxes (see `read_detections`).
        box_format, proposal_format: What four numbers are in `instances` and in that file.

    Raises:
        UserError: A file is not in its format, or they do not fit together.
    """
    if Path(refs).suffix in (".p", ".pkl", ".pickle"):
        raise UserError(f"{refs} is a pickle, which can run code when it is opened; {_CONVERT}")
    pictures, boxes = _read_coco(Path(instances), box_format)
    by_image: dict[Any, list[Box]] = {}
    for image, box in boxes.values():
        if has_area(box):
            by_image.setdefault(image, []).append(box)
    if proposals == GROUND_TRUTH:
        offered = {image: tuple(found) for image, found in by_image.items()}
    else:
        found = read_detections(proposals, proposal_format)
        place = Placed(proposals, proposal_format)
        offered = {
            image: place(found.get(str(image), found.get(name, ())), frame, name)
            for image, (name, frame) in pictures.items()
        }
        place.close()
    questions = []
    for number, ref in enumerate(json_list(refs)):
        ref = _checked(ref, f"{refs}: entry {number}")
        annotation = boxes.get(ref["ann_id"])
        if annotation is None or annotation[0] not in pictures:
            raise UserError(
                f"{refs}: entry {number} points to the annotation {ref['ann_id']}, which "
                f"{instances} does not have; take both from one data set"
            )
        image, box = annotation
        if str(ref["image_id"]) != str(image):
            raise UserError(
                f"{refs}: entry {number} is about picture {ref['image_id']}, but its annotation "
                f"{ref['ann_id']} is of picture {image} in {instances}; take both from one data set"
            )
        name, frame = pictures[image]
        astray = fault(box, "xywh" if box_format else None, frame)
        astray = astray if has_area(box) else "box of no area"
        if astray:
            raise UserError(f"{instances}: annotation {ref['ann_id']} has a {astray}; {STATE}")
        questions += [
            Question(
                f"{ref['ref_id']}.{k}",
                ref["split"],
                sentence["sent"],
                box,
                images / name,
                frame,
                offered.get(image, ()),
            )
            for k, sentence in enumerate(ref["sentences"])
        ]
    return questions


def read_layout(
    path: str | os.PathLike[str],
    split: str,
    roots: ImageRoots,
    proposals: str | Path | None = None,
    *,
    box_format: BoxFormat | None = None,
    proposal_format: BoxFormat | None = None,
) -> list[Question]:
    """Read expressions in Sherlock's layout: the inference is the expression.

    Args:
        path: The file. The first box of an entry is the one that is meant.
        split: What it is a file of.
        roots: Where the pictures lie.
        proposals: "ground_truth" for the boxes meant in the file, a file of a detector's boxes
            by picture, or None for the entries' own (`yolo_box`).
        box_format, proposal_format: What four numbers are in the file and in the detector's.

    Raises:
        UserError: The file is not in this layout.
    """
    instances = read_instances(path, roots=roots, box_format=box_format)
    place = Placed(proposals, proposal_format)
    offered: Mapping[str, tuple[Box, ...]] = {}
    if proposals == GROUND_TRUTH:
        meant: dict[str, dict[Box, None]] = {}
        for one in instances:
            meant.setdefault(one.url, {})[one.item.region.boxes[0]] = None
        offered = {url: tuple(boxes) for url, boxes in meant.items()}
    elif proposals is not None:
        offered = _by_url(
            read_detections(proposals, proposal_format), {one.url for one in instances}, proposals
        )
    questions = []
    for one in instances:
        item, region = one.item, one.item.region
        image, frame = Path(str(region.image)), region.frame or (0, 0)
        boxes = item.proposals
        if proposals is not None:
            boxes = offered.get(one.url, ())
        if proposals not in (None, GROUND_TRUTH):
            boxes = place(boxes, frame, one.url)
        questions.append(
            Question(item.id, split, item.inference, region.boxes[0], image, frame, boxes)
        )
    place.close()
    return questions


def _by_url(
    found: Mapping[str, tuple[Box, ...]], urls: Iterable[str], file: str | Path
) -> dict[str, tuple[Box, ...]]:
    """Return a detector's boxes by URL, where it names pictures by that or by their last part."""
    named: dict[str, str] = {}
    boxes = {}
    for url in sorted(urls):
        name = Path(url).name
        if url not in found and name in found:
            other = named.setdefault(name, url)
            if other != url:
                raise UserError(
                    f"{file} has boxes of {name}, which may be {other} or {url}; name pictures by "
                    "their whole URL"
                )
        boxes[url] = found.get(url, found.get(name, ()))
    return boxes


def read_detections(
    path: str | os.PathLike[str], box_format: BoxFormat | None = None
) -> dict[str, tuple[Box, ...]]:
    """Return a detector's boxes by picture, shares as shares.

    Args:
        path: A JSON object {image id or file name: [[x, y, width, height], ...]}, or COCO's
            format of results, a list of {image_id, bbox, ...}.
        box_format: What the four numbers are.

    Raises:
        UserError: It is neither.
    """
    content = json_file(path)
    try:
        if isinstance(content, dict):
            return {str(key): read_proposals(boxes, box_format) for key, boxes in content.items()}
        found: dict[str, list[Any]] = {}
        for entry in content:
            found.setdefault(str(entry["image_id"]), []).append(entry["bbox"])
        return {key: read_proposals(boxes, box_format) for key, boxes in found.items()}
    except (KeyError, TypeError, ValueError):
        raise UserError(
            f"{path} must map pictures to lists of boxes [x, y, width, height], or list "
            "detections as COCO does ({image_id, bbox})"
        ) from None


def convert_refs(
    path: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    *,
    unsafe: bool = False,
) -> Path:
    """Write a pickle of references as the JSON that this package reads, and return its path.

    Args:
        path: `refs(unc).p`, `refs(google).p` or `refs(umd).p`.
        out: The file to write, which must not exist; by default beside it, with the suffix `.json`.
        unsafe: Say that the pickle comes from a source you trust. Even so it is read by an
            unpickler that makes only lists, dicts, strings and numbers.

    Raises:
        UserError: `unsafe` was not given, or the file is no list of references.
    """
    source = Path(path)
    target = source.with_suffix(".json") if out is None else Path(out)
    check_file(target, _KIND)
    if not unsafe:
        raise UserError(
            f"{source} is a pickle, which can run code when it is opened; give unsafe=True if it "
            "comes from a source you trust"
        )
    refs = unpickle_plain(source)
    if not isinstance(refs, list):
        raise UserError(f"{source} holds no list of references")
    plain, count = [], 0
    for number, ref in enumerate(refs):
        ref = _checked(ref, f"{source}: entry {number}")
        count += len(ref["sentences"])
        if count > _MAX_SENTENCES:
            raise UserError(f"{source} lists more than {_MAX_SENTENCES:,} sentences")
        plain.append(_plain_ref(ref))
    with atomic_write(target, _KIND) as aside:
        aside.write_text(json.dumps(plain), encoding="utf-8")
    return target


_CONVERT = (
    "write its JSON export once with trifocal.regions.benchmarks.refcoco.convert_refs(path, "
    "unsafe=True), if it comes from a source you trust"
)


def _plain_ref(ref: Mapping[str, Any]) -> dict[str, Any]:
    """Return the published fields of a reference, and no other."""
    plain = {key: ref[key] for key in _REF[:4]}
    plain |= {key: ref[key] for key in ("category_id", "file_name") if _scalar(ref.get(key))}
    plain["sentences"] = [
        {
            "sent": one["sent"],
            **{key: one[key] for key in ("sent_id", "raw") if _scalar(one.get(key))},
            **({"tokens": tokens} if _texts(tokens := one.get("tokens")) else {}),
        }
        for one in ref["sentences"]
    ]
    return plain


def _scalar(value: Any) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool)


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _checked(ref: Any, label: str) -> Mapping[str, Any]:
    """Return a reference that has what is needed, or raise a `UserError`."""
    absent = [key for key in _REF if not isinstance(ref, dict) or key not in ref]
    if absent:
        raise UserError(f"{label} has no {absent[0]}, so it is no reference of RefCOCO")
    sentences = ref["sentences"]
    good = (
        all(_scalar(ref[key]) for key in _REF[:4])
        and isinstance(ref["split"], str)
        and isinstance(sentences, list)
        and all(isinstance(one, dict) and isinstance(one.get("sent"), str) for one in sentences)
    )
    if not good:
        raise UserError(f"{label} is no reference of RefCOCO: its fields are of another type")
    return ref


def _read_coco(
    path: Path, box_format: BoxFormat | None
) -> tuple[dict[Any, tuple[str, tuple[int, int]]], dict[Any, tuple[Any, Box]]]:
    """Return name and size of pictures by id, and picture and box of annotations by id."""
    content = json_file(path)
    label = ""
    try:
        pictures = {}
        for one in _entries(content, "images"):
            label = f"picture {one.get('id')}"
            name = one["file_name"]
            if not isinstance(name, str) or Path(name).is_absolute() or ".." in Path(name).parts:
                raise ValueError("has a file_name that is not a path below the pictures' folder")
            if one["id"] in pictures:
                raise ValueError("is there twice")
            pictures[one["id"]] = (name, (int(one["width"]), int(one["height"])))
            if not 0 < min(pictures[one["id"]][1]) <= max(pictures[one["id"]][1]) < 1 << 31:
                raise ValueError("has no width and height of a picture")
        boxes = {}
        corners = Corners(path)
        for one in _entries(content, "annotations"):
            label = f"annotation {one.get('id')}"
            if one["id"] in boxes:
                raise ValueError("is there twice")
            image, box = one["image_id"], read_box(one["bbox"], box_format, empty=True)
            if image in pictures:
                frame = pictures[image][1]
                if box_format is None:
                    corners.look(box, frame, label)
                box = in_pixels(box, box_format, frame)
            boxes[one["id"]] = (image, box)
    except KeyError as error:
        raise UserError(f"{path}: {label} has no {error.args[0]}; it must be COCO's") from None
    except (TypeError, AttributeError, ValueError, OverflowError) as error:
        reason = str(error) if isinstance(error, ValueError) else "is not in COCO's format"
        raise UserError(f"{path}: {label} {reason}; get the file again") from None
    corners.close()
    return pictures, boxes


def _entries(content: Any, key: str) -> Iterable[Any]:
    if not isinstance(content, dict) or not isinstance(content.get(key), list):
        raise KeyError(f"list of {key}")
    return content[key]
