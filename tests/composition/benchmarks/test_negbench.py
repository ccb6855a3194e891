"""NegBench's choices: kinds, means and the authors' rule for ties, on a miniature of both sets."""

from __future__ import annotations

import csv

import pytest

from tests.composition.benchmarks.color_model import ColorModel, paint
from trifocal.composition.benchmarks.negbench import NegBench
from trifocal.errors import UserError
from trifocal.metrics.benchmark import find

HEADER = [
    "image_path", "caption_0", "caption_1", "caption_2", "caption_3", "correct_answer", "correct_answer_template"
]  # fmt: skip
RIGHT = ["red", "green", "blue", "no"]
TIED = ["red", "red cup", "blue", "no"]
WRONG = ["blue", "green", "red", "no"]
COCO = [
    (*RIGHT, 0, "positive"),
    (*WRONG, 0, "positive"),
    (*TIED, 0, "negative"),
    ("no", "green", "red", "blue,\nblue", 2, "hybrid"),
    (*RIGHT, 0, "hybrid"),
]
VOC = [(*RIGHT, 0, "positive"), (*WRONG, 0, "negative"), (*WRONG, 0, "hybrid")]


def write(path, rows, photo):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([HEADER, *[(photo, *row) for row in rows]])


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "data" / "images"
    write(folder / "COCO_val_mcq_llama3.1_rephrased.csv", COCO, "data/coco/images/val2017/red.png")
    write(folder / "VOC2007_mcq_llama3.1_rephrased.csv", VOC, "/elsewhere/JPEGImages/red_1.png")
    paint(tmp_path / "coco" / "val2017", "red")
    paint(tmp_path / "VOCdevkit" / "VOC2007" / "JPEGImages", "red_1")
    return tmp_path


def test_kinds_and_means(root):
    benchmark = NegBench(official=True)
    rows = benchmark.score(ColorModel(), benchmark.items(root))
    value = {row.key[1:]: row.value for row in rows}
    assert value["coco_positive", "acc"] == pytest.approx(1 / 2)
    assert value["coco_negative", "acc"] == 0
    assert value["coco_hybrid", "acc"] == 1
    assert value["coco", "acc_macro"] == pytest.approx(1 / 2)
    assert value["coco", "acc_micro"] == pytest.approx(3 / 5)
    assert value["voc", "acc_micro"] == pytest.approx(1 / 3)
    assert value["mean", "acc_micro"] == pytest.approx((3 / 5 + 1 / 3) / 2)
    assert value["coco", "acc_micro_ties_right"] == pytest.approx(4 / 5)
    total = find(rows, "negbench", "coco", "acc_micro")
    assert (total.n, total.ties, total.chance) == (5, 1, pytest.approx(1 / 4))
    assert total.blind is not None


def test_one_set_alone(root):
    (root / "data" / "images" / "VOC2007_mcq_llama3.1_rephrased.csv").unlink()
    assert "VOC2007" in NegBench().check(root)[0].path
    benchmark = NegBench(sets=("coco",))
    rows = benchmark.score(ColorModel(), benchmark.items(root))
    assert find(rows, "negbench", "coco", "acc_micro").n == 5
    assert not [row for row in rows if row.task in ("voc", "mean")]
    with pytest.raises(UserError, match="of coco, voc"):
        NegBench(sets=("cocoa",))


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ((*RIGHT, 4, "positive"), "entry 0 must have correct_answer"),
        ((*RIGHT, 0, "double"), "entry 0 must have correct_answer"),
        (RIGHT, "not as many cells"),
    ],
)
def test_a_row_of_another_form_is_refused(root, row, said):
    write(root / "COCO_val_mcq_llama3.1_rephrased.csv", [row], "red.png")
    with pytest.raises(UserError, match=said):
        NegBench().items(root)
