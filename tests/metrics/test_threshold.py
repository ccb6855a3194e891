"""The best threshold against all that could be."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from trifocal.metrics.threshold import best_threshold

ANSWERS = st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=1, max_size=12)


@given(ANSWERS)
def test_no_other_threshold_is_better(answers):
    scores = torch.tensor([float(score) for score, _ in answers])
    positive = torch.tensor([yes for _, yes in answers])

    def share(threshold: float) -> int:
        return int(((scores > threshold) == positive).sum())

    found = best_threshold(scores, positive)
    assert share(found) == max(share(one / 2) for one in range(-10, 11))


def test_it_lies_halfway_and_equal_scores_stay_together():
    scores = torch.tensor([0.0, 1.0, 3.0, 3.0])
    assert best_threshold(scores, torch.tensor([False, False, True, True])) == 2
    assert best_threshold(scores, torch.tensor([True, True, True, False])) == -1
    assert best_threshold(scores, torch.tensor([False, False, False, False])) == 3
