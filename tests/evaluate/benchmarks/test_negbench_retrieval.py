"""NegBench's retrieval on a miniature: whose caption finds its photo, plain and negated."""

from __future__ import annotations

import csv

import pytest

from tests.composition.benchmarks.color_model import ColorModel, paint
from trifocal.errors import UserError
from trifocal.evaluate.benchmarks.negbench_retrieval import NegBenchRetrieval
from trifocal.metrics.benchmark import find

PLAIN = "COCO_val_retrieval.csv"
NEGATED = "COCO_val_negated_retrieval_llama3.1_rephrased_affneg_true.csv"


def write(path, *rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["filepath", "captions"], *rows])


@pytest.fixture
def root(tmp_path):
    photos = [f"data/coco/images/val2017/{color}.png" for color in ("red", "green", "blue")]
    write(
        tmp_path / PLAIN,
        *zip(photos, ["['red', \"a red man's\"]", "['green']", "['blue', 'blue']"]),
    )
    negated = ["['red, not green', 'red but green']", "['green blue red']", "['no red and blue']"]
    write(tmp_path / NEGATED, *zip(photos, negated))
    paint(tmp_path / "val2017", "red", "green", "blue")
    return tmp_path


def test_recall_of_plain_and_negated_captions(root):
    benchmark = NegBenchRetrieval()
    items = benchmark.items(root)
    assert [len(one) for one in items] == [5, 4]
    rows = benchmark.score(ColorModel(), items)
    plain = find(rows, "negbench_retrieval", "plain", "image_retrieval_recall@1")
    assert plain.value == 1
    assert plain.n == 5
    # "red, not green" names "green" alone, as the model reads words; three ties of two or three.
    negated = find(rows, "negbench_retrieval", "negated", "image_retrieval_recall@1")
    assert negated.value == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 2) / 4)
    assert find(rows, "negbench_retrieval", "negated", "image_retrieval_recall@5").value == 1


def test_all_photos_must_be_there(root):
    (root / "val2017" / "blue.png").unlink()
    (missing,) = NegBenchRetrieval().check(root)
    assert missing.path.endswith("blue.png")
    with pytest.raises(UserError, match="get COCO's val2017 photos"):
        NegBenchRetrieval().items(root)


@pytest.mark.parametrize("cell", ["red", "[1]", "[]", "['red', ", "__import__('os')"])
def test_captions_must_be_a_list_of_texts(root, cell):
    write(root / PLAIN, ["red.png", cell])
    with pytest.raises(UserError, match="entry 0 must have captions, a list of texts"):
        NegBenchRetrieval().items(root)
