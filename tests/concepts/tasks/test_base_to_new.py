"""Base-to-new: which classes are base, and how accuracies are averaged."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trifocal.concepts.datasets.dataset import LabeledImage
from trifocal.concepts.tasks.base_to_new import (
    averages,
    halves,
    harmonic,
    restrict,
)
from trifocal.errors import UserError

# Base and new accuracies of GDA (Wang et al., arXiv 2402.04087) with ViT-B/16.
GDA = {
    "caltech101": (98.04, 94.51),
    "oxford_pets": (94.10, 97.15),
    "stanford_cars": (78.71, 66.92),
    "oxford_flowers": (97.78, 72.46),
    "food101": (90.63, 91.21),
    "fgvc_aircraft": (45.88, 34.09),
    "sun397": (81.95, 75.62),
    "dtd": (80.63, 59.82),
    "eurosat": (93.28, 79.21),
    "ucf101": (86.63, 79.09),
    "imagenet": (75.95, 69.79),
}


@pytest.mark.parametrize(
    ("classes", "sizes"),
    [
        (100, (50, 50)),
        (37, (19, 18)),
        (196, (98, 98)),
        (102, (51, 51)),
        (101, (51, 50)),
        (397, (199, 198)),
        (47, (24, 23)),
        (10, (5, 5)),
        (1000, (500, 500)),
    ],
)
def test_sizes(classes: int, sizes: tuple[int, int]) -> None:
    base, new = halves(classes)
    assert (len(base), len(new)) == sizes
    assert [*base, *new] == list(range(classes))


def test_one_class_has_no_halves() -> None:
    with pytest.raises(UserError, match="at least two classes, not 1"):
        halves(1)


def test_harmonic_mean() -> None:
    assert harmonic(83.96, 74.53) == pytest.approx(78.964, abs=5e-4)
    assert harmonic(0, 0) == 0


def test_both_orders_of_averaging() -> None:
    result = averages(list(GDA.values()))
    assert round(result.base, 2) == 83.96
    assert round(result.new, 2) == 74.53
    assert round(result.h_of_averages, 2) == 78.97
    assert round(result.average_of_h, 2) == 78.72


def test_nothing_to_average_is_refused() -> None:
    with pytest.raises(UserError, match="no base and new accuracies"):
        averages([])


@given(st.floats(0.01, 100), st.floats(0.01, 100))
def test_harmonic_mean_lies_between(base: float, new: float) -> None:
    low, high = sorted((base, new))
    assert low - 1e-9 <= harmonic(base, new) <= high + 1e-9
    assert harmonic(base, new) == harmonic(new, base)


def test_each_half_has_labels_of_its_own() -> None:
    items = [LabeledImage(f"{i}.jpg", i % 5) for i in (3, 0, 4, 1, 2)]
    base, new = (restrict(items, half) for half in halves(5))
    assert base == [LabeledImage(f"{i}.jpg", i) for i in (0, 1, 2)]
    assert new == [LabeledImage("3.jpg", 0), LabeledImage("4.jpg", 1)]
    assert restrict(items, (4, 0)) == [LabeledImage("0.jpg", 1), LabeledImage("4.jpg", 0)]
