"""What'sUp: single questions, pairs and sets, three ways to average, and the authors' ties."""

from __future__ import annotations

import json

import pytest

from tests.composition.benchmarks.color_model import ColorModel, paint
from trifocal.composition.benchmarks.whatsup import LISTS, WhatsUp
from trifocal.errors import UserError
from trifocal.metrics.benchmark import find

RELATIONS = ("left_of", "right_of", "on", "under")
CLEVR = ("left_of", "right_of", "in-front_of", "behind")
WRONG = ["blue cup", "green cup", "cup of blue"]


def controlled(name, relations, texts):
    """Return the entries of two sets, whose pictures are red; `texts` go with the first set."""
    return [
        {
            "image_path": f"data/{name}/{thing}_{relation}_red.png",
            "caption_options": [true, *WRONG],
        }
        for thing, truths in (("mug", texts), ("cap", ["red cup"] * 4))
        for relation, true in zip(relations, truths, strict=True)
    ]


@pytest.fixture
def root(tmp_path):
    # The first set: right, right (a pair); a tie, right (no pair).
    a = controlled("controlled_images", RELATIONS, ["red cup", "red", "blue cup", "red mug"])
    b = controlled("controlled_clevr", CLEVR, ["red cup"] * 4)
    (tmp_path / "controlled_images_dataset.json").write_text(json.dumps(a))
    (tmp_path / "controlled_clevr_dataset.json").write_text(json.dumps(b))
    for name, entries in (("controlled_images", a), ("controlled_clevr", b)):
        files = [entry["image_path"].rpartition("/")[2] for entry in entries]
        paint(tmp_path / name, *(file.removesuffix(".png") for file in files))
    lists = {
        "coco_qa_one_obj": [[7, "red", "blue"], [7, "blue", "red"], [7, "red", "a cup of red"]],
        "coco_qa_two_obj": [["7", "red", "blue"]],
        "vg_qa_one_obj": [[7, "red", "blue"]],
        "vg_qa_two_obj": [[7, "red", "blue"]],
    }
    for name in LISTS:
        (tmp_path / f"{name}.json").write_text(json.dumps(lists[name]))
    paint(tmp_path / "val2017", "red")
    (tmp_path / "val2017/red.png").rename(tmp_path / "val2017/000000000007.jpg")
    paint(tmp_path / "vg_images", "red")
    (tmp_path / "vg_images/red.png").rename(tmp_path / "vg_images/7.jpg")
    return tmp_path


def values(benchmark, root):
    rows = benchmark.score(ColorModel(), benchmark.items(root))
    return {(row.task, row.metric): row.value for row in rows}, rows


def test_single_questions_and_means(root):
    value, rows = values(WhatsUp(), root)
    assert value["controlled_a", "acc"] == 7 / 8
    assert value["coco_qa_one_obj", "acc"] == pytest.approx(1 / 3)
    assert value["coco_qa", "acc"] == pytest.approx((1 / 3 + 1) / 2)
    assert value["coco_qa", "acc_micro_group"] == 2 / 4
    assert value["mean", "acc"] == pytest.approx((7 / 8 + 1 + 1 / 3 + 1 + 1 + 1) / 6)
    assert value["mean_of_groups", "acc"] == pytest.approx((15 / 16 + 2 / 3 + 1) / 3)
    assert value["mean", "acc_micro_group"] == pytest.approx((15 / 16 + 1 / 2 + 1) / 3)
    mean = find(rows, "whatsup", *WhatsUp.headline)
    assert mean.chance == pytest.approx((2 / 4 + 4 / 2) / 6)
    assert mean.ties == 2  # "blue cup" is among the wrong ones; two texts of one color


def test_pairs_and_sets(root):
    value, rows = values(WhatsUp(), root)
    assert value["controlled_a", "acc_pair"] == 3 / 4
    assert value["controlled_a", "acc_set"] == 1 / 2
    assert value["controlled", "acc_pair"] == pytest.approx(7 / 8)
    pair = find(rows, "whatsup", "controlled_b", "acc_pair")
    assert (pair.n, pair.chance) == (4, 1 / 16)
    assert find(rows, "whatsup", "controlled_b", "acc_set").chance == 1 / 256


def test_a_pair_without_a_picture_is_not_asked(root):
    (root / "controlled_images/mug_on_red.png").unlink()
    value, rows = values(WhatsUp(available_only=True), root)
    assert find(rows, "whatsup", "controlled_a", "acc_pair").n == 3
    assert value["controlled_a", "acc_pair"] == 1
    assert find(rows, "whatsup", "controlled_a", "acc_set").n == 1


def test_the_authors_count_ties_as_right(root):
    value, _ = values(WhatsUp(official=True), root)
    assert value["coco_qa_one_obj", "acc_ties_right"] == pytest.approx(2 / 3)
    assert value["coco_qa_one_obj", "acc"] == pytest.approx(1 / 3)
    # The texts of the third question are all as far from its picture.
    assert value["controlled_a", "acc_pair_ties_right"] == 1


@pytest.mark.parametrize(
    ("file", "content", "sentence"),
    [
        ("controlled_images_dataset", '[{"image_path": "a.png"}]', "entry 0 must have image_path"),
        ("controlled_images_dataset", "[3]", "entry 0 must have image_path"),
        ("vg_qa_one_obj", '[["x", "a", "b"]]', "must have a photo's number, a true and a false"),
        ("coco_qa_two_obj", "{}", "it must hold a list"),
    ],
)
def test_a_malformed_file_is_refused(root, file, content, sentence):
    (root / f"{file}.json").write_text(content)
    with pytest.raises(UserError, match=sentence):
        WhatsUp().items(root)
