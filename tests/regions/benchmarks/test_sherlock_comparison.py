"""Agreement with people: by hand, against loops, and its references."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trifocal.errors import UserError
from trifocal.regions.benchmarks.comparison import (
    comparison_metrics,
    human_bound,
    oracle_bound,
    pair_agreement,
)

X, Y = np.array([(3, 1, 2), (2, 1, 2)]), np.array([(1, 1), (1, 3)])


def test_by_hand():
    found = comparison_metrics([(0.5, 0.4, 0.6), torch.tensor((0.2, 0.1))], [X, Y])
    assert 100 * found.model == pytest.approx(8.33, abs=0.005)
    assert 100 * found.human == pytest.approx(75.0)
    assert 100 * found.oracle == pytest.approx(75.0)
    assert found.n == 2


def test_without_a_told_pair_it_is_zero_and_counts():
    assert pair_agreement(np.array([1.0, 2.0]), np.array([1.0, 1.0])) == 0
    assert pair_agreement(np.array([1.0]), np.array([1.0])) == 0
    found = comparison_metrics([(0.1, 0.2), (0.1, 0.2)], [[(1, 1), (1, 1)], [(1, 2), (1, 2)]])
    assert found.model == 0.5


def noise(count: int) -> np.ndarray:
    np.random.seed(1)  # noqa: NPY002 - as the published scorer has it
    return np.random.random(size=10)[:count] / 1e9  # noqa: NPY002


def loop(scores, labels) -> float:
    """The definition, pair by pair."""
    broken = np.asarray(scores, dtype=float) + noise(len(scores))
    right = total = 0
    for i in range(len(labels)):
        for j in range(i):
            if labels[i] != labels[j]:
                total += 1
                right += (labels[i] > labels[j]) == (broken[i] > broken[j])
    return 2 * (right / total - 0.5) if total else 0.0


regions = st.integers(1, 10).flatmap(
    lambda k: st.tuples(
        st.lists(st.integers(0, 3).map(lambda v: v / 4), min_size=k, max_size=k),
        *[st.lists(st.integers(1, 3), min_size=k, max_size=k)] * 2,
    )
)


@given(st.lists(regions, min_size=1, max_size=4))
def test_it_is_the_loop(found):
    scores = [np.array(one[0]) for one in found]
    labels = [np.array(one[1:], dtype=float) for one in found]
    result = comparison_metrics(scores, labels)
    expected = {"model": [], "human": [], "oracle": []}
    for score, (a, b) in zip(scores, labels, strict=True):
        expected["model"].append((loop(score, a) + loop(score, b)) / 2)
        expected["human"].append((loop(a, b) + loop(b, a)) / 2)
        mean = (a + b) / 2
        expected["oracle"].append((loop(mean, a) + loop(mean, b)) / 2)
    for name, values in expected.items():
        assert getattr(result, name) == pytest.approx(np.mean(values), abs=1e-12)


def test_people_who_agree_are_perfect():
    labels = [np.array([(1, 2, 3), (1, 2, 3)], dtype=float)]
    assert human_bound(labels) == oracle_bound(labels) == 1.0
    assert comparison_metrics([(3, 2, 1)], labels).model == -1.0


def test_random_scores_are_at_zero():
    rng = np.random.default_rng(0)
    labels = [rng.integers(1, 4, (2, 10)) for _ in range(1000)]
    assert abs(comparison_metrics([rng.random(10) for _ in labels], labels).model) < 0.03


def test_more_than_ten_candidates():
    labels = [np.array([range(15)] * 2)]
    assert comparison_metrics([np.arange(15.0)], labels).model == 1.0


def test_nan_and_other_shapes():
    with pytest.raises(UserError, match="comparison scores hold NaN"):
        comparison_metrics([(float("nan"), 1)], [[(1, 2), (1, 2)]])
    with pytest.raises(UserError, match="ratings hold NaN"):
        comparison_metrics([(0, 1)], [[(1, float("nan")), (1, 2)]])
    with pytest.raises(ValueError, match="3 scores for 2 ratings"):
        comparison_metrics([(0, 1, 2)], [[(1, 2), (1, 2)]])
    with pytest.raises(ValueError, match="0 lists of scores"):
        comparison_metrics([], [])
    with pytest.raises(ValueError, match="no second to compare"):
        comparison_metrics([(0, 1)], [[(1, 2)]])
