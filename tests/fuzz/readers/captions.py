"""Captions: tables, JSON of every form, folders, shards; and the pictures themselves."""

from __future__ import annotations

import functools
import io
import json
import math
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.fuzz.reader import Reader, Seed, lines
from tests.fuzz.readers.pictures import odd_pictures, picture
from trifocal.composition.benchmarks.sugarcrepe import SUBSETS, SugarCrepe
from trifocal.composition.benchmarks.suite import Questions
from trifocal.data.captions import CaptionDataset, CaptionItem, read_captions
from trifocal.data.images import BadImage, Stored, open_stored
from trifocal.data.shards import _INDEX_VERSION, ShardDataset
from trifocal.evaluate.benchmarks.negbench_retrieval import NegBenchRetrieval
from trifocal.evaluate.benchmarks.retrieval import Retrieval, RetrievalItems
from trifocal.tally import Tally

_PHOTOS = {"a.png": picture(), "b.jpg": picture("JPEG")}


def _tables() -> list[Seed]:
    csv = b'image,caption,split\na.png,"a dog, asleep",train\nb.jpg,two cats,test\n'
    negatives = b"title\tfilepath\tneg_caption\nA dog\ta.png\t['a cat', \"a man's\"]\n"
    jsonl = lines(
        {"image": "a.png", "caption": "a dog", "split": "train"},
        {"image": "b.jpg", "captions": ["two cats", "cats"], "neg_caption": ["a dog"]},
    )
    return [
        Seed({"c.csv": csv}, _PHOTOS),
        Seed({"c.tsv": negatives}, _PHOTOS),
        Seed({"c.csv": csv.replace(b",", b";").replace(b"dog;", b"dog,")}, _PHOTOS),
        Seed({"c.jsonl": jsonl}, _PHOTOS),
    ]


def _json() -> list[Seed]:
    karpathy = {
        "dataset": "coco",
        "images": [
            {
                "filepath": "val",
                "filename": "a.png",
                "imgid": 0,
                "split": "test",
                "sentences": [{"raw": "A dog.", "tokens": ["a", "dog"]}, {"raw": "Dogs"}],
            },
            {"filename": "b.jpg", "split": "train", "sentences": [{"raw": "two cats"}]},
        ],
    }
    coco = {
        "images": [{"id": 1, "file_name": "a.png"}, {"id": "2", "file_name": "b.jpg"}],
        "annotations": [
            {"id": 7, "image_id": 1, "caption": "a dog"},
            {"id": 8, "image_id": 2, "caption": "two cats"},
        ],
    }
    nested = {"images": [{"file_name": "a.png", "captions": ["a dog", "dogs"]}]}
    listed = [{"image": "a.png", "caption": "a dog"}, {"image": "b.jpg", "caption": ["cats"]}]
    forms = (karpathy, coco, nested, listed)
    return [Seed({"c.json": json.dumps(one).encode()}, _PHOTOS) for one in forms]


def _encodings() -> list[Seed]:
    text = "image,caption\na.png,déjà vu\nb.jpg,zwei Kühe\n"
    return [
        Seed({"utf-16.csv": text.encode("utf-16")}, _PHOTOS),
        Seed({"latin-1.csv": text.encode("latin-1")}, _PHOTOS),
        Seed({"utf-7.csv": text.encode("utf-7")}, _PHOTOS),
        Seed({"cp1252.csv": text.encode("cp1252")}, _PHOTOS),
    ]


def _folder() -> list[Seed]:
    texts = {"a.txt": b"a dog\nanother line\n", "b.txt": b"two cats\n"}
    return [Seed(texts, _PHOTOS)]


def _read_loosely(file: Path, **options: Any) -> tuple[Tally, list[CaptionItem]]:
    tally = Tally(str(file), most_left_out=1.0)
    return tally, read_captions(file, tally=tally, **options)


def _check_captions(found: tuple[Tally, list[CaptionItem]]) -> None:
    tally, items = found
    assert tally.used == len(items)
    assert tally.used + tally.left_out == tally.read
    json.dumps(tally.facts())
    data, rng = CaptionDataset(items), np.random.default_rng(0)
    for index, item in enumerate(items):
        assert data.item(index) == item
        assert item.captions
        assert all(text and text == " ".join(text.split()) for text in item.captions)
        assert data.caption(index, rng) in item.captions


def _shards() -> list[Seed]:
    made = []
    record = json.dumps({"id": "a", "captions": ["a dog", "dogs"]}).encode()
    for texts in ({"0.json": record, "1.json": record}, {"0.txt": b"a dog", "1.txt": b"cats\n"}):
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode="w") as tar:
            for name, content in {"0.png": picture(), "1.jpg": picture("JPEG"), **texts}.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
        made.append(Seed({"0.tar": file.getvalue()}))
    return made


def _read_shards(file: Path) -> ShardDataset:
    return ShardDataset(str(file), tally=Tally(str(file), most_left_out=1.0))


def _check_shards(data: ShardDataset) -> None:
    rng = np.random.default_rng(0)
    for index in range(len(data)):
        try:
            sample = data.sample(index, rng)
        except BadImage:
            continue
        assert sample.caption
        assert isinstance(sample.image, Image.Image)
        assert sample.image.mode == "RGB"


def _shard_index() -> list[Seed]:
    """A shard with its index beside it, which is read instead of the shard where its stamp fits."""
    tar = _shards()[0].files["0.tar"]
    rows = [["0", "0.png", 512, 80, 1536, 40, True], ["1", "1.jpg", 2560, 600, 3584, 9, False]]
    index = {"stamp": "@stamp@", "samples": rows, "left": {"without a text": ["2"]}}
    name = "0.tar.index.json"
    return [Seed({"0.tar": tar, name: json.dumps(index).encode()}, changes=(name,))]


def _read_indexed(file: Path) -> ShardDataset:
    index, status = file.with_name("0.tar.index.json"), file.stat()
    stamp = json.dumps([_INDEX_VERSION, status.st_size, status.st_mtime_ns]).encode()
    index.write_bytes(index.read_bytes().replace(b'"@stamp@"', stamp))
    return _read_shards(file)


def _pictures() -> list[Seed]:
    kinds = {"a.png": "PNG", "a.jpg": "JPEG", "a.webp": "WEBP"}
    plain = {name: picture(kind) for name, kind in kinds.items()}
    turned = {"b.png": picture(turned=6), "b.jpg": picture("JPEG", turned=3)}
    files = {**plain, **turned, **odd_pictures()}
    return [Seed({name: content}) for name, content in files.items()]


def _check_picture(found: tuple[Image.Image, Stored]) -> None:
    image, stored = found
    assert image.mode == "RGB"
    assert image.size == stored.upright
    assert math.prod(image.size) > 0


def _check_reduced(found: tuple[Image.Image, Stored]) -> None:
    image, stored = found
    assert image.mode == "RGB"
    assert 0 < image.width <= stored.upright[0]
    assert 0 < image.height <= stored.upright[1]


def _sugarcrepe() -> list[Seed]:
    entry = {"filename": "a.png", "caption": "a dog", "negative_caption": "a cat"}
    content = json.dumps({"0": entry, "1": {**entry, "filename": "b.jpg"}}).encode()
    fixed = {f"val2017/{name}": photo for name, photo in _PHOTOS.items()}
    files = {f"{subset}.json": content for subset in SUBSETS}
    return [Seed(files, fixed, tuple(files)[:2])]


def _check_pairs(found: Questions) -> None:
    assert len(found.items) <= found.of
    for item in found.items:
        assert all(isinstance(text, str) for text in item.texts)


def _negbench() -> list[Seed]:
    """NegBench's retrieval: photos with lists of captions, as pandas writes them."""
    rows = 'filepath,captions\ndata/a.png,"[\'a dog\', ""a man\'s""]"\nb.jpg,[\'two cats\']\n'
    names = ("retrieval", "negated_retrieval_llama3.1_rephrased_affneg_true")
    fixed = {f"val2017/{name}": photo for name, photo in _PHOTOS.items()}
    return [Seed({f"COCO_val_{name}.csv": rows.encode() for name in names}, fixed)]


def _check_negbench(found: list[RetrievalItems]) -> None:
    for one in found:
        assert len(one.texts) == len(one.owner)
        assert all(0 <= own < len(one.images) for own in one.owner)


READERS: dict[str, Reader] = {
    "caption tables": Reader(_tables, _read_loosely, _check_captions),
    "caption JSON": Reader(_json, _read_loosely, _check_captions),
    "caption encodings": Reader(
        _encodings, lambda file: _read_loosely(file, encoding=file.stem), _check_captions
    ),
    "caption folders": Reader(_folder, lambda file: _read_loosely(file.parent), _check_captions),
    "retrieval": Reader(
        lambda: [*_tables(), *_json()], lambda file: Retrieval(most_left_out=1.0).items(file)
    ),
    "negbench_retrieval": Reader(
        _negbench, lambda file: NegBenchRetrieval().items(file.parent), _check_negbench
    ),
    "shards": Reader(_shards, _read_shards, _check_shards, after=("*.index.json",)),
    "shard indices": Reader(_shard_index, _read_indexed, _check_shards),
    "pictures": Reader(_pictures, open_stored, _check_picture, (BadImage,)),
    "pictures, reduced": Reader(
        _pictures, functools.partial(open_stored, draft=2), _check_reduced, (BadImage,)
    ),
    "sugarcrepe": Reader(
        _sugarcrepe,
        lambda file: SugarCrepe(available_only=True).items(file.parent),
        _check_pairs,
    ),
}
