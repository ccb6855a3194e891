"""Abduction and referring tests as the files of Sherlock and of RefCOCO have them.

Sherlock (v1.1): one list; an instance has `inputs` (image, boxes, clue, confidence), `targets`
(inference) and, for validation, `split_idx`, its retrieval fold. Proposals of a detector lie
beside them as `yolo_box`, where published methods put theirs.

RefCOCO: `instances.json` is COCO's own format, with every thing annotated; `refs(world).json` has
the expressions, as refer's `refs(unc).p` has, but not pickled; `detections.json` has proposals in
COCO's format of results.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence

from trifocal.data.regions import Region, RegionItem
from trifocal.data.sherlock_files import Instance
from trifocal.world.abduction import AbductionItem
from trifocal.world.boxes import overlap, pixel_box
from trifocal.world.referring import ReferringItem
from trifocal.world.scene import Thing
from trifocal.world.vocabulary import KINDS

Size = int | tuple[int, int]  # a picture's side, or (height, width)
_CERTAIN = 3.0  # what follows in the world follows for sure


def sherlock_instances(
    items: Sequence[AbductionItem], size: Size, suffix: str, *, folds: bool
) -> list[Instance]:
    """Return the entries of a Sherlock file; only a validation file has `folds`."""
    width, height = _width_height(size)
    found = []
    for item in items:
        url = f"images/{item.scene.scene.id}.{suffix}"
        found.append(
            Instance(
                RegionItem(
                    hashlib.blake2b(item.id.encode(), digest_size=16).hexdigest(),
                    Region(url, (pixel_box(item.box, width, height),), (width, height)),
                    item.clue,
                    item.inference,
                    tuple(pixel_box(box, width, height) for box in item.proposals),
                ),
                url,
                fold=item.fold if folds else None,
                confidence=_CERTAIN,
                observation=item.scene.instances.index(item.instance),
            )
        )
    return found


def refcoco_files(
    items: Mapping[str, Sequence[ReferringItem]], size: Size, suffix: str
) -> dict[str, object]:
    """Return the files of the referring expressions of all splits, by name."""
    width, height = _width_height(size)
    images: dict[str, dict] = {}
    annotations: list[dict] = []
    detections: list[dict] = []
    refs: list[dict] = []
    first: dict[str, int] = {}  # the annotation of a scene's first thing
    for item in (item for of_split in items.values() for item in of_split):
        scene = item.scene.scene
        if scene.id in images:
            continue
        number = len(images) + 1
        name = f"{scene.id}.{suffix}"
        images[scene.id] = {"id": number, "file_name": name, "width": width, "height": height}
        first[scene.id] = len(annotations) + 1
        for thing in scene.things:
            box = pixel_box(thing.box, width, height)
            row = {"id": len(annotations) + 1, **_annotation(number, thing, box)}
            annotations.append({**row, "area": box[2] * box[3], "iscrowd": 0})
        for proposal in item.proposals:
            thing = max(scene.things, key=lambda thing: overlap(thing.box, proposal))
            box = pixel_box(proposal, width, height)
            detections.append({**_annotation(number, thing, box), "score": 1.0})
    sentence_count = 0
    for split, of_split in items.items():
        for item in of_split:
            scene = item.scene.scene
            ids = range(sentence_count, sentence_count + len(item.sentences))
            sentence_count += len(ids)
            refs.append(
                {
                    "ref_id": len(refs),
                    "ann_id": first[scene.id] + item.thing,
                    "image_id": images[scene.id]["id"],
                    "category_id": _category(scene.things[item.thing]),
                    "split": split,
                    "file_name": images[scene.id]["file_name"],
                    "sentences": [_sentence(k, text) for k, text in zip(ids, item.sentences)],
                    "sent_ids": list(ids),
                }
            )
    categories = [
        {"id": k, "name": kind, "supercategory": "thing"} for k, kind in enumerate(KINDS, 1)
    ]
    instances = {
        "info": {"description": "trifocal's built-in world"},
        "images": list(images.values()),
        "annotations": annotations,
        "categories": categories,
    }
    return {"instances.json": instances, "refs(world).json": refs, "detections.json": detections}


def _annotation(image: int, thing: Thing, box: Sequence[int]) -> dict:
    return {"image_id": image, "category_id": _category(thing), "bbox": list(box)}


def _sentence(number: int, text: str) -> dict:
    tokens = re.findall(r"\w+", text.lower())
    return {"sent_id": number, "sent": text, "raw": text, "tokens": tokens}


def _category(thing: Thing) -> int:
    """Return the number of a thing's kind; COCO counts from 1."""
    return KINDS.index(thing.kind) + 1


def _width_height(size: Size) -> tuple[int, int]:
    height, width = (size, size) if isinstance(size, int) else size
    return width, height
