"""Maps against boxes."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trifocal.metrics.maps import inside, map_score

CORNER = [(0.0, 0.0, 0.5, 0.5)]


def test_a_perfect_map_its_opposite_and_one_that_says_nothing() -> None:
    perfect = inside(CORNER, 4, 4).float()
    for similarity, auc, hit in ((perfect, 1, 1), (-perfect, 0, 0), (0 * perfect, 0.5, 0.25)):
        score = map_score(similarity, CORNER)
        assert score is not None
        assert (score.auc, score.hit, score.share) == pytest.approx((auc, hit, 0.25))


def test_boxes_of_no_patch_or_of_all_ask_nothing() -> None:
    assert map_score(torch.rand(4, 4), [(0.0, 0.0, 0.1, 0.1)]) is None
    assert map_score(torch.rand(4, 4), [(0.0, 0.0, 1.0, 1.0)]) is None
    assert map_score(torch.rand(4, 4), []) is None


def test_several_boxes_are_one_place() -> None:
    both = inside([*CORNER, (0.5, 0.5, 1.0, 1.0)], 4, 4)
    assert both.sum() == 8
    assert torch.equal(both, both.T)


@given(st.integers(0, 100))
def test_measures_are_shares_and_do_not_hang_on_the_scale(seed: int) -> None:
    similarity = torch.randn(5, 7, generator=torch.Generator().manual_seed(seed))
    score = map_score(similarity, [(0.2, 0.1, 0.7, 0.6)])
    assert score is not None
    assert 0 <= score.auc <= 1
    assert score.hit in (0, 1)
    assert score == map_score(3 * similarity - 1, [(0.2, 0.1, 0.7, 0.6)])
