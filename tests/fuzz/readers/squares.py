"""Benchmarks of composition in JSON, CSV and parquet files: squares, SPEC, ARO."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

from tests.fuzz.reader import Reader, Seed, lines
from trifocal.composition.benchmarks.aro import Aro
from trifocal.composition.benchmarks.bivlc import BiVlc
from trifocal.composition.benchmarks.coco_counterfactuals import CocoCounterfactuals
from trifocal.composition.benchmarks.colorswap import ColorSwap
from trifocal.composition.benchmarks.eqben import EqBen
from trifocal.composition.benchmarks.mmvp_vlm import MmvpVlm
from trifocal.composition.benchmarks.spec import SETS, Spec
from trifocal.composition.benchmarks.suite import Suite
from trifocal.composition.benchmarks.winoground import Winoground
from trifocal.features.questions import Question

_TEXTS = {"caption_0": "a red cup", "caption_1": "a blue cup"}


def _winoground() -> list[Seed]:
    pictures = {"image_0": "ex_0_img_0", "image_1": "ex_0_img_1"}
    tags = {"id": 0, "collapsed_tag": "Object", "num_main_preds": 1}
    return [Seed({"examples.jsonl": lines({**tags, **_TEXTS, **pictures}, {**_TEXTS, **pictures})})]


def _colorswap() -> list[Seed]:
    entry = {
        "id": 0,
        "caption_1": "red on blue",
        "caption_2": "blue on red",
        "image_1": "images/img_0_1.png",
        "image_2": "images/img_0_2.png",
    }
    return [Seed({"test.json": json.dumps([entry]).encode()})]


def _bivlc() -> list[Seed]:
    from pyarrow import parquet, table

    texts = {"caption": ["a"], "negative_caption": ["b"], "type": ["add"], "subtype": ["obj"]}
    cell = [{"bytes": b"no picture", "path": None}]
    file = io.BytesIO()
    parquet.write_table(table({**texts, "image": cell, "negative_image": cell}), file)
    return [Seed({"test-00000-of-00001.parquet": file.getvalue()})]


def _mmvp() -> list[Seed]:
    rows = b'Question ID,Type,Statement\n1,Color,"red, dark"\n2,Color,blue\n'
    return [Seed({"Questions.csv": rows})]


def _eqben() -> list[Seed]:
    frame = {"image0": "eqbenag/v/0.png", "image1": "eqbenag/v/1.png"}
    captions = {"caption0": ["he sits", "he rests"], "caption1": "he stands"}
    content = json.dumps([{**frame, **captions}]).encode()
    return [Seed({"eqben_subset_10percent_final.json": content})]


def _counterfactuals() -> list[Seed]:
    entry = {"id": 1, **_TEXTS, "image_0": "1_0", "image_1": "1_1"}
    return [Seed({"examples.jsonl": lines(entry, entry, entry, entry)})]


def _spec() -> list[Seed]:
    to_text = [{"query": "a.png", "keys": ["one dog", "two dogs"], "label": 1}]
    to_image = [{"query": "one dog", "keys": ["a.png", "b.png"], "label": 0}]
    files = {
        f"{name}/{way}.json": json.dumps(content).encode()
        for name in SETS
        for way, content in (("image2text", to_text), ("text2image", to_image))
    }
    return [Seed(files)]


def _aro() -> list[Seed]:
    box = {"bbox_x": 1, "bbox_y": 2.5, "bbox_w": 30, "bbox_h": 20}
    entry = {"image_path": "1.jpg", "true_caption": "a", "false_caption": "b", **box}
    photos = [{"image": "val2014/a.jpg", "caption": ["A dog near two old cats.", "It's a dog"]}]
    orders = json.dumps(photos).encode()
    relation = json.dumps([{**entry, "relation_name": "on"}]).encode()
    attributes = json.dumps([{**entry, "attributes": ["old", "new"]}] * 2).encode()
    return [
        Seed(
            {
                "visual_genome_relation.json": relation,
                "visual_genome_attribution.json": attributes,
                "coco_karpathy_test.json": orders,
                "flickr30k_test.json": orders,
            }
        )
    ]


def _check(found: Sequence[Question]) -> None:
    for one in found:
        assert one.images
        assert one.texts
        assert all(isinstance(text, str) for text in one.texts)
        assert all(str(picture) for picture in one.images)


def _reader(seeds: Callable[[], list[Seed]], benchmark: Suite, depth: int = 1) -> Reader:
    """Return the reader of a benchmark whose first file lies so deep below its root."""

    def read(file: Path) -> list[Question]:
        return benchmark.read(file.parents[depth - 1])

    return Reader(seeds, read, _check)


READERS: dict[str, Reader] = {
    "winoground": _reader(_winoground, Winoground()),
    "colorswap": _reader(_colorswap, ColorSwap()),
    "mmvp_vlm": _reader(_mmvp, MmvpVlm()),
    "eqben": _reader(_eqben, EqBen()),
    "coco_counterfactuals": _reader(_counterfactuals, CocoCounterfactuals(share=0.5)),
    "spec": _reader(_spec, Spec(), depth=2),
    "aro": _reader(_aro, Aro()),
    **({"bivlc": _reader(_bivlc, BiVlc())} if find_spec("pyarrow") else {}),
}
