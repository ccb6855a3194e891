"""ROC-AUC and average precision against loops over pairs and thresholds."""

from __future__ import annotations

import math

import pytest
import torch

from trifocal.metrics.average_precision import average_precision, eleven_point_precision, roc_auc


def drawn(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores with many ties, and which of them are positive."""
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randint(0, 12, (60,), generator=generator).float()
    return scores, torch.rand(60, generator=generator) < 0.3


def curve(scores: torch.Tensor, positive: torch.Tensor) -> list[tuple[float, float]]:
    """Recall and precision of what is at or above each threshold."""
    points = []
    for threshold in sorted(set(scores.tolist()), reverse=True):
        found = scores >= threshold
        right = int((found & positive).sum())
        points.append((right / int(positive.sum()), right / int(found.sum())))
    return points


@pytest.mark.parametrize("seed", range(4))
def test_values_equal_loops(seed):
    scores, positive = drawn(seed)
    pairs = [(p > n) + (p == n) / 2 for p in scores[positive] for n in scores[~positive]]
    assert roc_auc(scores, positive) == pytest.approx(float(sum(pairs)) / len(pairs))
    points = curve(scores, positive)
    before = [0.0, *(recall for recall, _ in points)]
    step = sum((recall - last) * p for (recall, p), last in zip(points, before))
    assert average_precision(scores, positive) == pytest.approx(step)
    eleven = [max(p for recall, p in points if recall >= t / 10 - 1e-9) for t in range(11)]
    assert eleven_point_precision(scores, positive) == pytest.approx(sum(eleven) / 11)


def test_the_order_of_items_changes_nothing():
    scores, positive = drawn(9)
    shuffled = torch.randperm(60, generator=torch.Generator().manual_seed(0))
    for measure in (roc_auc, average_precision, eleven_point_precision):
        assert measure(scores, positive) == measure(scores[shuffled], positive[shuffled])


def test_by_hand():
    scores = torch.tensor([0.9, 0.8, 0.7, 0.6])
    positive = torch.tensor([True, False, True, False])
    assert roc_auc(scores, positive) == pytest.approx(3 / 4)
    assert average_precision(scores, positive) == pytest.approx((1 + 2 / 3) / 2)
    assert eleven_point_precision(scores, positive) == pytest.approx((6 * 1 + 5 * 2 / 3) / 11)


def test_a_constant_score_is_at_chance():
    positive = torch.tensor([True, False, False, False])
    assert roc_auc(torch.zeros(4), positive) == 0.5
    assert average_precision(torch.zeros(4), positive) == 0.25


def test_nan_is_below_all_and_no_positives_have_no_value():
    positive = torch.tensor([True, False])
    assert roc_auc(torch.tensor([math.nan, 0.1]), positive) == 0
    none = torch.zeros(3, dtype=torch.bool)
    for measure in (roc_auc, average_precision, eleven_point_precision):
        assert math.isnan(measure(torch.rand(3), none))
