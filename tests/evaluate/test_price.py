"""Composition at equal cost: read off curves by hand, and intervals that cover what they should."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from trifocal.evaluate.curve import CurvePoint
from trifocal.evaluate.names import RETRIEVAL, ZERO_SHOT
from trifocal.evaluate.price import at_price, difference_at_price, lost
from trifocal.metrics.result import Result


def row(task: str, metric: str, marks: np.ndarray) -> Result:
    return Result(
        "test", task, metric, float(marks.mean()), len(marks), marks=torch.from_numpy(marks)
    )


def point(alpha: float, composition: np.ndarray, zero_shot: np.ndarray) -> CurvePoint:
    retrieved = zero_shot  # so that the mean of both is the one number given
    return CurvePoint(
        alpha,
        (
            row("mean", "acc", composition),
            row(ZERO_SHOT, "acc1", zero_shot),
            row(RETRIEVAL, "text_retrieval_recall@1", retrieved),
            row(RETRIEVAL, "image_retrieval_recall@1", retrieved),
        ),
    )


def share(value: float, n: int = 1000) -> np.ndarray:
    return (np.arange(n) < round(value * n)).astype(float)


def curve(*points: tuple[float, float]) -> list[CurvePoint]:
    return [point(i, share(gained), share(kept)) for i, (gained, kept) in enumerate(points)]


def test_between_two_points_the_curve_is_straight() -> None:
    made = curve((0.5, 0.9), (0.6, 0.8), (0.7, 0.6))
    assert at_price(made, 0.0) == pytest.approx(0.5)
    assert at_price(made, 0.05) == pytest.approx(0.55)
    assert at_price(made, 0.2) == pytest.approx(0.65)
    assert at_price(made, 0.5) == pytest.approx(0.7)  # it never costs as much


def test_a_curve_is_read_where_it_first_loses_as_much() -> None:
    made = curve((0.5, 0.9), (0.55, 0.95), (0.6, 0.85), (0.65, 0.95), (0.7, 0.5))
    assert at_price(made, 0.0) == pytest.approx(0.575)


def test_the_worse_of_what_is_kept_can_be_the_price() -> None:
    """Naming falls by 10 points while recall grows by as much: the mean hides it."""
    base, end = point(0, share(0.5), share(0.9)), point(1, share(0.7), share(0.8))
    rows = [replace(r, marks=None, value=1.0) if r.task == RETRIEVAL else r for r in end.rows]
    made = [base, CurvePoint(1, tuple(rows))]
    assert at_price(made, 0.05) == pytest.approx(0.7)
    assert at_price(made, 0.05, "worst") == pytest.approx(0.6)
    assert lost(made) == pytest.approx(0)
    assert lost(made, "worst") == pytest.approx(0.1)


def test_equal_methods_do_not_differ() -> None:
    made = curve((0.5, 0.9), (0.7, 0.6))
    found = difference_at_price([made], [made], 0.1, samples=50)
    assert (found.value, found.low, found.high, found.p) == (0, 0, 0, 1)


def test_the_interval_is_that_of_paired_questions() -> None:
    """Where nothing is lost, the curve's end is read, and this is the plain paired difference."""
    rng = np.random.default_rng(0)
    n = 2000
    first = (rng.random(n) < 0.6).astype(float)
    second = np.where(rng.random(n) < 0.9, first, 1 - first)  # one answer in ten differs
    base = point(0, share(0.5, n), share(0.9, n))
    one, other = ([base, point(1, marks, share(0.9, n))] for marks in (first, second))
    found = difference_at_price([one], [other], 0.02, samples=4000)
    difference = first - second
    assert found.value == pytest.approx(difference.mean())
    expected = 1.96 * difference.std() / np.sqrt(n)
    assert found.half == pytest.approx(expected, rel=0.08)


def test_a_difference_beyond_noise_is_seen_and_seeds_widen_it() -> None:
    better = curve((0.5, 0.9), (0.7, 0.6))
    worse = curve((0.5, 0.9), (0.55, 0.6))
    alone = difference_at_price([better], [worse], 0.1, samples=500)
    assert alone.low > 0
    assert alone.p < 0.05
    assert alone.value == pytest.approx(0.05)
    mixed = difference_at_price([better, worse], [worse, better], 0.1, samples=500)
    assert mixed.value == pytest.approx(0)
    assert mixed.low < -0.03
    assert mixed.high > 0.03


def test_methods_are_compared_seed_by_seed() -> None:
    made = curve((0.5, 0.9), (0.7, 0.6))
    with pytest.raises(ValueError, match="2 with 1"):
        difference_at_price([made, made], [made], 0.1)


def test_rows_without_marks_have_no_interval() -> None:
    bare = [CurvePoint(p.alpha, tuple(r.of("x") for r in p.rows)) for p in curve((0.5, 0.9))]
    assert bare[0].rows[0].marks is not None  # a new name keeps them
    stripped = [CurvePoint(0, tuple(Result(**{**r.as_dict()}) for r in p.rows)) for p in bare * 2]
    assert at_price(stripped, 0.1) == pytest.approx(0.5)
    with pytest.raises(ValueError, match="no marks"):
        difference_at_price([stripped], [stripped], 0.1)
