"""Retrieval ranks against SciPy's, ties, and what random and constant scores give."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import rankdata

from trifocal.errors import UserError
from trifocal.regions.benchmarks.retrieval import mean_over_folds, retrieval_metrics

# Few levels, so that many scores are equal.
squares = st.integers(1, 7).flatmap(
    lambda n: arrays(np.float64, (n, n), elements=st.integers(0, 4).map(lambda k: k / 4))
)


def test_by_hand():
    found = retrieval_metrics([[0.9, 0.2, 0.1], [0.5, 0.5, 0.1], [0.3, 0.8, 0.7]])
    assert found.im2txt == pytest.approx(1.5)
    assert found.txt2im == pytest.approx(4 / 3)
    assert found.p_at_1 == pytest.approx(1 / 3)  # the tie in the second row does not count
    assert (found.n, found.chance_rank, found.chance_p_at_1) == (3, 2.0, 1 / 3)


@given(squares)
def test_ranks_are_scipys(scores):
    found = retrieval_metrics(scores)
    rows = np.diagonal(rankdata(-scores, axis=1))
    assert found.im2txt == pytest.approx(rows.mean())
    assert found.txt2im == pytest.approx(np.diagonal(rankdata(-scores, axis=0)).mean())
    assert found.p_at_1 == np.mean(rows == 1.0)


@pytest.mark.parametrize("n", [2, 10, 983])
def test_a_constant_scorer(n):
    found = retrieval_metrics(np.full((n, n), 0.3))
    assert (found.im2txt, found.txt2im, found.p_at_1) == ((n + 1) / 2, (n + 1) / 2, 0.0)


def test_one_region_is_always_found():
    found = retrieval_metrics([[0.1]])
    assert (found.im2txt, found.txt2im, found.p_at_1) == (1, 1, 1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_tensors(dtype):
    scores = torch.rand(9, 9, generator=torch.Generator().manual_seed(0)).to(dtype)
    assert retrieval_metrics(scores) == retrieval_metrics(scores.double().numpy())


def test_nan_is_an_error():
    with pytest.raises(UserError, match="hold NaN"):
        retrieval_metrics([[float("nan"), 1.0], [0.0, 1.0]])


@pytest.mark.parametrize("scores", [np.zeros((2, 3)), np.zeros((0, 0)), np.zeros(4)])
def test_other_shapes_are_refused(scores):
    with pytest.raises(ValueError, match=r"must be square|dimensions"):
        retrieval_metrics(scores)


def test_folds_weigh_the_same():
    small, large = retrieval_metrics(np.eye(2)), retrieval_metrics(np.zeros((10, 10)))
    mean = mean_over_folds([small, large])
    assert mean.im2txt == pytest.approx((1 + 5.5) / 2)
    assert mean.p_at_1 == 0.5
    assert mean.n == 12
    assert mean.chance_rank == pytest.approx((1.5 + 5.5) / 2)
    with pytest.raises(ValueError, match="no fold"):
        mean_over_folds([])
