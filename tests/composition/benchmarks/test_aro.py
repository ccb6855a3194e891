"""ARO: four parts in both forms, both macro rules, boxes, ties of the order sets."""

from __future__ import annotations

import json
import zipfile

import pytest
from PIL import Image

from tests.composition.benchmarks.by_hand import picture, write_table
from tests.composition.benchmarks.color_model import COLORS, ColorModel, paint
from trifocal.composition.benchmarks import aro
from trifocal.composition.benchmarks.aro import Aro
from trifocal.composition.benchmarks.aro_relations import SYMMETRIC
from trifocal.errors import UserError
from trifocal.metrics.benchmark import find

PARTS = ("vg_relation", "vg_attribution", "coco_order", "flickr_order")


def box(color: str, true: str, false: str, **kind) -> dict:
    """A question about the left (red) or the right (blue) half of the photo."""
    side = {"bbox_x": 0 if color == "red" else 8, "bbox_y": 0, "bbox_w": 8, "bbox_h": 8}
    return {"image_path": "half.png", **side, "true_caption": true, "false_caption": false, **kind}


RELATIONS = [
    box("red", "red", "blue", relation_name="on"),
    box("red", "blue", "red", relation_name="on"),
    box("blue", "blue", "red", relation_name="under"),
    box("blue", "red", "blue", relation_name="near"),  # symmetric
]
ATTRIBUTES = [
    *[box("red", "red", "blue", attributes=["old", "new"])] * 25,
    *[box("blue", "red", "blue", attributes=["big", "new"])] * 24,
]


@pytest.fixture
def root(tmp_path):
    (tmp_path / "visual_genome_relation.json").write_text(json.dumps(RELATIONS))
    (tmp_path / "visual_genome_attribution.json").write_text(json.dumps(ATTRIBUTES))
    photo = Image.new("RGB", (16, 8), COLORS["red"])
    photo.paste(COLORS["blue"], (8, 0, 16, 8))
    (tmp_path / "images").mkdir()
    photo.save(tmp_path / "images" / "half.png")
    for file, photo in (
        ("coco_karpathy_test.json", "val2014/red.png"),
        ("flickr30k_test.json", "flickr30k-images/red.png"),
    ):
        listed = [{"image": photo, "caption": ["A red dog near the blue house.", "Red!"]}]
        (tmp_path / file).write_text(json.dumps(listed))
        paint((tmp_path / photo).parent, "red")
    return tmp_path


def test_both_macro_rules(root):
    benchmark = Aro(official=True)
    assert benchmark.check(root) == []
    rows = benchmark.score(ColorModel(), benchmark.items(root))
    value = {(row.task, row.metric): row.value for row in rows}
    assert value["vg_relation", "acc_macro_relation"] == pytest.approx((1 / 2 + 1) / 2)
    assert value["vg_relation", "acc_macro_relation_all"] == pytest.approx((1 / 2 + 1 + 0) / 3)
    assert value["vg_relation", "acc_micro"] == pytest.approx(2 / 4)
    assert value["vg_attribution", "acc_macro_attribute"] == 1  # 24 cases are too few
    assert value["vg_attribution", "acc_micro"] == pytest.approx(25 / 49)
    # A bag of words: all orders are tied, which the authors count as right.
    assert value["coco_order", "acc"] == 0
    assert value["coco_order", "acc_ties_right"] == 1
    mean = find(rows, "aro", *Aro.headline)
    assert mean.value == pytest.approx((3 / 4 + 1 + 0 + 0) / 4)
    assert mean.chance == pytest.approx(0.35)
    assert mean.ties == 4
    assert value["mean", "acc_ties_right"] == pytest.approx((3 / 4 + 1 + 1 + 1) / 4)
    assert "coco_order and flickr_order shuffled with seed 1, tags of textblob" in mean.protocol


def test_orders_that_a_model_can_tell_apart(root, monkeypatch):
    monkeypatch.setattr(aro, "order_choices", lambda *_: ("red", "blue", "green", "red blue", "x"))
    benchmark = Aro()
    rows = benchmark.score(ColorModel(), benchmark.items(root))
    row = find(rows, "aro", "coco_order", "acc")
    assert (row.value, row.n, row.chance) == (1, 2, pytest.approx(1 / 5))
    assert "acc_ties_right" not in {row.metric for row in rows}


def test_parts_that_are_there(root):
    (root / "visual_genome_attribution.json").unlink()
    (missing,) = Aro().check(root)
    assert missing.path.endswith("visual_genome_attribution.json")
    benchmark = Aro(available_only=True)
    rows = benchmark.score(ColorModel(), benchmark.items(root))
    assert "mean" not in {row.task for row in rows}
    assert "vg_relation, coco_order, flickr_order alone" in rows[0].protocol


def test_tables_of_the_hub(root):
    """Frozen strings are preferred; of relations, the Hub tells too little to replace the file."""
    foils = {f"hard_text_{number}": ["blue"] for number in range(1, 5)}
    order = {"images": [picture("red")], "correct_caption": ["red"], **foils}
    write_table(root / "ARO-COCO-order" / "data" / "test-00000-of-00001.parquet", order)
    pair = {"image": [picture("blue")], "true_caption": ["blue"], "false_caption": ["red"]}
    for name in ("ARO-Visual-Relation", "ARO-Visual-Attribution"):
        write_table(root / name / "data" / "test-00000-of-00001.parquet", pair)
    benchmark = Aro()
    rows = benchmark.score(ColorModel(), benchmark.items(root))
    assert find(rows, "aro", "coco_order", "acc").value == 1
    assert find(rows, "aro", "vg_relation", "acc_micro").n == 4
    assert "; coco_order as on the Hub; flickr_order shuffled" in rows[0].protocol
    (root / "visual_genome_relation.json").unlink()
    rows = benchmark.score(ColorModel(), benchmark.items(root))
    assert find(rows, "aro", "vg_relation", "acc_micro").value == 1
    assert "acc_macro_relation" not in {row.metric for row in rows}
    assert "mean" not in {row.task for row in rows}


@pytest.mark.parametrize(
    ("file", "entry"),
    [
        ("visual_genome_relation.json", {**RELATIONS[0], "bbox_x": "left"}),
        ("visual_genome_relation.json", {**RELATIONS[0], "relation_name": None}),
        ("visual_genome_relation.json", {"image_path": "half.png"}),
        ("visual_genome_attribution.json", {**ATTRIBUTES[0], "attributes": ["old"]}),
        ("flickr30k_test.json", {"image": "a.jpg", "caption": "one"}),
        ("flickr30k_test.json", {"image": "a.jpg", "caption": [1]}),
        ("coco_karpathy_test.json", None),
    ],
)
def test_another_file_is_refused(root, file, entry):
    (root / file).write_text(json.dumps([entry]))
    with pytest.raises(UserError, match=rf"{file} is not a file of ARO: entry 0 must have"):
        Aro().check(root)


def test_the_authors_list():
    assert len(SYMMETRIC) == 157
    assert {"near", "next to", "by", "of", "with", "beside", "around"} <= SYMMETRIC
    assert "to the left of" not in SYMMETRIC


def test_published_file(real_data, tmp_path, monkeypatch):
    monkeypatch.setattr(aro, "order_choices", lambda caption, *_: (caption,) * 5)
    with zipfile.ZipFile(real_data / "annotations.zip") as archive:
        content = archive.read("aro/coco_karpathy_test.json")
    (tmp_path / "coco_karpathy_test.json").write_bytes(content)
    questions = Aro(available_only=True).read(tmp_path)
    assert len(questions) == 25010
    assert len({one.images for one in questions}) == 5000
