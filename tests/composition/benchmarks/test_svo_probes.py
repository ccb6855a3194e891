"""SVO-Probes: pairs of photos by the role that differs; many photos are gone."""

from __future__ import annotations

import csv

import pytest

from tests.composition.benchmarks.color_model import ColorModel, paint
from trifocal.composition.benchmarks.svo_probes import SvoProbes
from trifocal.errors import UserError
from trifocal.metrics.benchmark import find

COLUMNS = ("sentence", "pos_image_id", "neg_image_id", "subj_neg", "verb_neg", "obj_neg")
ROWS = [
    ("a red dog", 1, 2, True, False, False),
    ("a blue dog", 1, 2, True, False, False),
    ("red, running", 1, 3, False, True, False),  # a tie
    ("a red ball", 1, 2, False, False, True),
    ("a red ball", 1, 2, False, True, True),  # two roles differ
]


@pytest.fixture
def root(tmp_path):
    with (tmp_path / "svo_probes.csv").open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *ROWS])
    for number, color in ((1, "red"), (2, "blue"), (3, "red")):
        paint(tmp_path / "images", color)
        ending = ".png" if number == 3 else ".jpg"
        (tmp_path / f"images/{color}.png").rename(tmp_path / f"images/{number}{ending}")
    return tmp_path


def test_roles_and_their_mean(root):
    benchmark = SvoProbes()
    rows = benchmark.score(ColorModel(), benchmark.items(root))
    mean = find(rows, "svo_probes", *SvoProbes.headline)
    assert mean.value == pytest.approx((1 / 2 + 0 + 1) / 3)
    assert (mean.n, mean.ties, mean.chance) == (4, 1, pytest.approx(1 / 2))
    assert find(rows, "svo_probes", "all", "acc_micro").value == 2 / 4


def test_pairs_that_are_gone_are_counted(root):
    (root / "images/3.png").unlink()
    with pytest.raises(
        UserError, match=r"images/3\.jpg is missing: get the photos that image_urls"
    ):
        SvoProbes().items(root)
    benchmark = SvoProbes(available_only=True)
    rows = benchmark.score(ColorModel(), benchmark.items(root))
    assert "3 of 4 items, whose pictures are present" in rows[0].protocol


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (("a", 1, 2, "maybe", False, False), "entry 0 must have True or False"),
        (("a", "x", 2, True, False, False), "entry 0 must have pos_image_id and neg_image_id"),
    ],
)
def test_a_malformed_table_is_refused(root, row, sentence):
    with (root / "svo_probes.csv").open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, row])
    with pytest.raises(UserError, match=sentence):
        SvoProbes().items(root)
