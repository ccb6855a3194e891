"""Regions: Sherlock's files, RefCOCO's, lists of regions, banks."""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import pickle
import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from tests.fuzz.reader import Reader, Seed, lines
from tests.fuzz.readers.pictures import picture
from trifocal.apps.region_lists import ListedRegion, read_regions
from trifocal.data.boxes import clip_box, parse_box
from trifocal.data.coco_files import AnnotatedPhotos, read_coco
from trifocal.data.images import BadImage
from trifocal.data.regions import Box, Region
from trifocal.data.sherlock_files import ImageRoots, Instance, read_instances, write_instances
from trifocal.errors import UserError
from trifocal.regions.bank import read_bank
from trifocal.regions.benchmarks.fg_ovd_files import BoxTexts, read_part
from trifocal.regions.benchmarks.leaderboard import Task, read_task
from trifocal.regions.benchmarks.pool import Pool
from trifocal.regions.benchmarks.refcoco import RefCoco, RefItems
from trifocal.regions.benchmarks.refcoco_files import convert_refs, read_detections
from trifocal.regions.benchmarks.sherlock import Sherlock, SherlockItems
from trifocal.regions.benchmarks.submission import NAME, check_submission
from trifocal.tally import Tally

_PHOTOS = {"a.png": picture(size=(80, 60)), "b.jpg": picture("JPEG", (60, 80), turned=6)}
_SIDES = {"left": 10, "top": 5, "width": 30, "height": 40}


def _zipped(name: str, content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, content)
    return file.getvalue()


def _entries() -> list[dict[str, object]]:
    image = {"url": "a.png", "width": 80, "height": 60}
    first = {
        "inputs": {"image": image, "bboxes": [_SIDES], "clue": "a hat", "confidence": 2.0},
        "targets": {"inference": "it is cold"},
        "instance_id": "one",
        "split_idx": 0,
        "yolo_box": [[1, 2, 30, 20], [40, 10, 20, 20]],
    }
    second = {
        "inputs": {"image": {**image, "url": "VG_100K/b.jpg"}, "bboxes": [[1, 1, 20, 9.5]]},
        "targets": {"inference": "it rains"},
        "instance_id": "two",
        "split_idx": 1,
    }
    return [first, second]


def _annotations() -> list[Seed]:
    content = json.dumps(_entries()).encode()
    return [
        Seed({"a.json": content}, _PHOTOS),
        Seed({"a.zip": _zipped("a.json", content)}, _PHOTOS),
    ]


def _read_annotations(file: Path) -> tuple[Tally, list[Instance]]:
    tally = Tally(str(file), most_left_out=1.0)
    return tally, read_instances(file, tally=tally)


def _check_boxes(boxes: Iterable[Box], frame: tuple[int, int]) -> None:
    for box in boxes:
        assert all(map(math.isfinite, box))
        assert box[2] > 0
        assert box[3] > 0
        shown = clip_box(box, frame)
        assert shown[0] >= 0
        assert shown[0] + shown[2] <= frame[0]


def _check_annotations(found: tuple[Tally, list[Instance]]) -> None:
    tally, instances = found
    assert tally.used == len(instances)
    for one in instances:
        region = one.item.region
        assert region.frame is not None
        _check_boxes((*region.boxes, *one.item.proposals), region.frame)
        assert one.item.inference.strip()


def _read_back(file: Path) -> None:
    """What is read is written, and read as the same."""
    roots = ImageRoots(*[file.parent] * 3)
    found = read_instances(file, roots=roots)
    again = file.with_name("written.json")
    write_instances(again, found)
    assert read_instances(again, roots=roots) == found


def _objects() -> list[Seed]:
    """COCO's layout: annotations beside the images, and inside them."""
    own = [
        {"image_id": 1, "category_id": 2, "bbox": [10, 5.5, 30, 40], "iscrowd": 0},
        {"image_id": 1, "category_id": 3, "bbox": [0, 0, 80, 60], "iscrowd": 1},
    ]
    image = {"id": 1, "file_name": "a.png", "width": 80, "height": 60}
    names = [{"id": 2, "name": "dog"}, {"id": 3, "name": "cat"}]
    beside = {"images": [image], "annotations": own, "categories": names}
    inside = {"images": [{**image, "boxes": own}], "categories": {"2": "dog", "3": "cat"}}
    return [Seed({"o.json": json.dumps(each).encode()}, _PHOTOS) for each in (beside, inside)]


def _check_objects(found: AnnotatedPhotos) -> None:
    for photo in found.photos:
        _check_boxes([thing.box for thing in photo.things], photo.frame)
        assert all(thing.category in found.categories for thing in photo.things)
        assert set(photo.shown(0.01)) <= set(photo.things)


def _sherlock() -> list[Seed]:
    content = json.dumps(_entries()).encode()
    proposals = json.dumps({"a.png": [[1, 2, 30, 20]], "VG_100K/b.jpg": [[1, 1, 20, 9]]}).encode()
    return [Seed({"a.json": content, "p.json": proposals}, _PHOTOS)]


def _read_sherlock(file: Path) -> SherlockItems:
    bench = Sherlock(
        annotations=file, proposals=file.with_name("p.json"), available_only=True, split="val"
    )
    return bench.items(file.parent)


def _triple(test_id: str, region: int, text: str) -> dict[str, object]:
    image = {"url": "a.png", "width": 80, "height": 60}
    box = {**_SIDES, "left": 10 + region}
    return {"image": image, "region": [box], "inference": text, "test_id": test_id}


def _leaderboard() -> list[Seed]:
    ids = ["t0", "t1", "t2", "t3"]
    texts = ["it rains", "it snows"]
    triples = [_triple(name, n // 2, texts[n % 2]) for n, name in enumerate(ids)]
    keys = {
        "retrieval_0": {name: [f"r{n // 2}", f"r{n % 2}"] for n, name in enumerate(ids)},
        "localization": {
            name: {
                **{"type": "gt", "image": "a.png", "inst_id": f"i{n % 2}"},
                **{"bbox_idx": n // 2, "correct": n // 2 == n % 2},
            }
            for n, name in enumerate(ids[:4])
        },
        "comparison": {
            "test_id_map": {
                name: {"Input_iid": f"q{n // 2}", "candidate": f"c{n % 2}"}
                for n, name in enumerate(ids)
            },
            "annotations": [
                {
                    "Input_iid": f"q{q}",
                    "candidates": [
                        {"source_iid": f"c{c}", "annot1": c, "annot2": c + q} for c in range(2)
                    ],
                }
                for q in range(2)
            ],
        },
    }
    return [
        Seed(
            {
                f"val_{task}_instances.json": json.dumps(triples).encode(),
                f"val_{task}_instance_ids.json": json.dumps(ids).encode(),
                f"val_{task}_answer_key.json": json.dumps(key).encode(),
            },
            _PHOTOS,
        )
        for task, key in keys.items()
    ]


def _read_task(file: Path) -> Task:
    name = file.name.removeprefix("val_").removesuffix("_instances.json")
    return read_task(name, file, Pool(), ImageRoots(images=file.parent))


def _check_task(task: Task) -> None:
    assert len(task) == len(task.region) == len(task.text) == len(task.group) > 0
    assert task.key is not None


def _refs() -> list[dict[str, object]]:
    sentence = {"sent": "left hat", "sent_id": 0, "raw": "Left hat", "tokens": ["left", "hat"]}
    ref = {"ref_id": 1, "ann_id": 7, "image_id": 1, "split": "val", "sentences": [sentence]}
    return [ref, {**ref, "ref_id": 2, "ann_id": 8, "category_id": 1, "file_name": "a.png"}]


def _instances() -> bytes:
    photo = {"id": 1, "file_name": "a.png", "width": 80, "height": 60}
    notes = [
        {"id": 7, "image_id": 1, "bbox": [1, 2, 30, 20], "category_id": 1},
        {"id": 8, "image_id": 1, "bbox": [40.5, 10, 20, 20]},
    ]
    return json.dumps({"images": [photo], "annotations": notes}).encode()


def _refcoco() -> list[Seed]:
    detections = [{"1": [[1, 2, 30, 20], [5, 5, 9, 9]]}, [{"image_id": 1, "bbox": [1, 2, 30, 20]}]]
    files = {"instances.json": _instances(), "refs(unc).json": json.dumps(_refs()).encode()}
    photos = {"train2014/a.png": _PHOTOS["a.png"]}
    return [
        Seed({**files, "detections.json": json.dumps(one).encode()}, photos) for one in detections
    ]


def _read_refcoco(file: Path) -> RefItems:
    bench = RefCoco(refs=file.with_name("refs(unc).json"), available_only=True, split="val")
    bench.proposals = str(file.with_name("detections.json"))
    return bench.items(file.parent)


def _check_refcoco(found: RefItems) -> None:
    assert len(found.questions) <= found.of
    for one in found.questions:
        _check_boxes((one.box, *one.proposals), one.frame)


def _pickled() -> list[Seed]:
    forms = (pickle.dumps(_refs(), protocol) for protocol in (0, 2, 4))
    return [Seed({"refs(unc).p": content}) for content in forms]


def _lists() -> list[Seed]:
    plain = lines({"image": "a.png", "boxes": [[1, 2, 30, 20]], "id": "x"}, {"image": "b.jpg"})
    framed = {"image": "a.png", "boxes": [[2, 4, 60, 40]], "width": 160, "height": 120}
    stated = {"image": "a.png", "boxes": [[0.1, 0.2, 0.5, 0.5]], "box_format": "normalized"}
    corners = {"image": "b.jpg", "boxes": [[1, 2, 31, 22]], "box_format": "xyxy", "id": 3}
    return [Seed({"l.jsonl": text}, _PHOTOS) for text in (plain, lines(framed, stated, corners))]


def _check_listed(found: list[ListedRegion]) -> None:
    for one in found:
        json.dumps(one.facts)
        try:
            image, boxes = one.region.open()
        except UserError:
            continue
        _check_boxes(boxes, image.size)


def _banks() -> list[Seed]:
    content = json.dumps(_entries()).encode()
    return [
        Seed({"b.txt": "it rains\nes schneit, überall\n".encode()}),
        Seed({"b.jsonl": lines({"text": "it rains"}, {"text": "it snows"})}),
        Seed({"b.json": content}),
        Seed({"b.zip": _zipped("b.json", content)}),
    ]


def _check_bank(texts: list[str]) -> None:
    assert texts
    assert len(set(texts)) == len(texts)
    assert all(text.strip() and text.encode() for text in texts)


def _submissions() -> list[Seed]:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for task, size in _SIZES.items():
            array = io.BytesIO()
            np.save(array, np.zeros(size, dtype=np.float32))
            archive.writestr(f"{NAME}/{task}.npy", array.getvalue())
    return [Seed({f"{NAME}.zip": file.getvalue()})]


_SIZES = {"comparison": 3, "retrieval_0": 4}


def _fg_ovd() -> list[Seed]:
    coco = {
        "images": [{"id": 7, "file_name": "a.png", "width": 80, "height": 60}],
        "annotations": [
            {"image_id": 7, "bbox": [10, 5, 30, 40], "category_id": 1, "neg_category_ids": [2, 3]}
        ],
        "categories": [{"id": k, "name": name} for k, name in enumerate("abcd")],
    }
    line = {"img_path": "b.jpg", "bbox": [1, 1, 20, 9.5]}
    texts = {"pos_expression": ["a hat"], "neg_expression": ["a cap", "a coat"]}
    return [
        Seed({"color.json": json.dumps(coco).encode()}, _PHOTOS),
        Seed({"color_llava.jsonl": lines({**line, **texts}, {**line, **texts})}, _PHOTOS),
    ]


def _there(region: Region) -> bool:
    """Return whether a changed name still leads to a photo; a benchmark asks that first."""
    return os.path.isfile(str(region.image))


def _check_fg_ovd(found: list[BoxTexts]) -> None:
    for one in found:
        assert len(one.texts) > 1
        with contextlib.suppress(BadImage):  # a changed name may lead to a file that is no picture
            one.region.open()


READERS: dict[str, Reader] = {
    "sherlock annotations": Reader(_annotations, _read_annotations, _check_annotations),
    "sherlock, read back": Reader(_annotations, _read_back, after=("written.json",)),
    "sherlock": Reader(_sherlock, _read_sherlock),
    "leaderboard": Reader(_leaderboard, _read_task, _check_task),
    "submissions": Reader(_submissions, lambda file: check_submission(file, _SIZES)),
    "objects in COCO's layout": Reader(_objects, read_coco, _check_objects),
    "fg_ovd": Reader(
        _fg_ovd,
        lambda file: [
            one for one in read_part(file, lambda name: file.parent / name) if _there(one.region)
        ],
        _check_fg_ovd,
    ),
    "refcoco": Reader(_refcoco, _read_refcoco, _check_refcoco),
    "refcoco detections": Reader(
        lambda: [Seed({"d.json": seed.files["detections.json"]}) for seed in _refcoco()],
        read_detections,
    ),
    "refcoco pickles": Reader(
        _pickled,
        lambda file: convert_refs(file, unsafe=True),
        after=("refs(unc).json",),
    ),
    "region lists": Reader(_lists, read_regions, _check_listed),
    "banks": Reader(_banks, read_bank, _check_bank),
    "boxes": Reader(
        lambda: [Seed({"b.txt": b"40,60,120,80"})],
        lambda file: parse_box(file.read_text(errors="surrogateescape")),
    ),
}
