"""Logistic regression with a prior: the mode of the posterior, found."""

from __future__ import annotations

import numpy
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.optimize import minimize
from torch import Tensor
from torch.nn import functional as F

from trifocal.concepts.regression import ITERATIONS, map_weights
from trifocal.concepts.support import unit

Problem = tuple[Tensor, Tensor, Tensor]


def problem(count: int = 12, width: int = 5, classes: int = 3, seed: int = 0) -> Problem:
    """Return points, offsets and labels."""
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn(count, width, generator=generator, dtype=torch.float64)
    offsets = 2 * torch.randn(count, classes, generator=generator, dtype=torch.float64)
    return points, offsets, torch.randint(classes, (count,), generator=generator)


def objective(weights: Tensor, fitted: Problem, penalty: float) -> Tensor:
    points, offsets, labels = fitted
    loss = F.cross_entropy(offsets + points @ weights, labels, reduction="sum")
    return loss + penalty / 2 * weights.pow(2).sum()


@given(st.integers(1, 12), st.integers(2, 4), st.sampled_from([0.01, 0.1, 1.0]), st.integers(0, 99))
@example(11, 3, 0.01, 11)  # stops early
def test_the_gradient_of_the_objective_is_zero(
    count: int, classes: int, penalty: float, seed: int
) -> None:
    fitted = problem(count, classes=classes, seed=seed)
    weights = map_weights(*fitted, penalty, iterations=300)
    assert weights.shape == (5, classes)
    assert not weights.requires_grad
    (gradient,) = torch.autograd.grad(
        objective(weights.requires_grad_(True), fitted, penalty), weights
    )
    # It stops where a step is expected to gain less than 1e-8.
    assert float(gradient.abs().max()) < 2e-3
    # What there is left to gain, by Newton's step to the minimum.
    flat = weights.detach().flatten()
    curvature = torch.autograd.functional.hessian(
        lambda one: objective(one.view_as(weights), fitted, penalty), flat
    )
    assert isinstance(curvature, Tensor)
    step = torch.linalg.solve(curvature, gradient.flatten())
    assert float(gradient.flatten() @ step / 2) < 1e-5


@pytest.mark.parametrize("penalty", [0.01, 1.0])
def test_the_mode_is_scipys(penalty: float) -> None:
    points, offsets, labels = problem()

    def plain(flat: numpy.ndarray) -> float:
        logits = offsets.numpy() + points.numpy() @ flat.reshape(5, 3)
        shifted = logits - logits.max(1, keepdims=True)
        chances = shifted - numpy.log(numpy.exp(shifted).sum(1, keepdims=True))
        own = chances[numpy.arange(len(labels)), labels.numpy()]
        return float(-own.sum() + penalty / 2 * (flat**2).sum())

    best = minimize(plain, numpy.zeros(15), method="BFGS", options={"gtol": 1e-6})
    weights = map_weights(points, offsets, labels, penalty, iterations=300)
    assert plain(weights.numpy().ravel()) == pytest.approx(best.fun, rel=1e-6)
    expected = torch.from_numpy(best.x).reshape(5, 3)
    torch.testing.assert_close(weights, expected, rtol=1e-2, atol=1e-2)


def test_the_gradient_in_it_is_that_of_finite_differences() -> None:
    """One step of steepest descent from 0 goes along the negative gradient there."""
    fitted = problem()
    step = map_weights(*fitted, 0.1, iterations=1).flatten()
    gradient = torch.zeros(15, dtype=torch.float64)
    for place in range(15):
        moved = torch.zeros(15, dtype=torch.float64)
        moved[place] = 1e-6
        up = objective(moved.reshape(5, 3), fitted, 0.1)
        down = objective(-moved.reshape(5, 3), fitted, 0.1)
        gradient[place] = (up - down) / 2e-6
    assert float(F.cosine_similarity(step, -gradient, dim=0)) == pytest.approx(1, abs=1e-9)


def test_the_start_does_not_matter() -> None:
    fitted = problem()
    generator = torch.Generator().manual_seed(7)
    expected = map_weights(*fitted, 0.1, iterations=300)
    for scale in (0.1, 3.0):
        start = scale * torch.randn(5, 3, generator=generator, dtype=torch.float64)
        kept = start.clone()
        found = map_weights(*fitted, 0.1, start=start, iterations=300)
        torch.testing.assert_close(found, expected, rtol=1e-2, atol=2e-3)
        assert torch.equal(start, kept)


@pytest.mark.parametrize("penalty", [1e-2, 1e-1, 1.0])
def test_the_default_number_of_steps_is_near_the_mode(penalty: float) -> None:
    """In what matters: chances differ by a hundredth at most, so predictions hardly do."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(20).repeat_interleave(8)
    centers = unit(torch.randn(20, 64, generator=generator, dtype=torch.float64))
    noise = torch.randn(160, 64, generator=generator, dtype=torch.float64) / 8
    points = unit(centers[labels] + noise)
    texts = unit(centers + torch.randn(20, 64, generator=generator, dtype=torch.float64) / 8)
    fitted = (points, 20 * points @ texts.T, labels)
    query = unit(centers + torch.randn(20, 64, generator=generator, dtype=torch.float64) / 8)
    chances, exact = (
        (20 * query @ texts.T + query @ map_weights(*fitted, penalty, iterations=count)).softmax(1)
        for count in (ITERATIONS, 300)
    )
    assert float((chances - exact).abs().max()) < 0.01
    assert torch.equal(chances.argmax(1), exact.argmax(1))


def test_columns_sum_to_zero() -> None:
    """Adding a number to all logits changes no probability, and the prior wants none."""
    weights = map_weights(*problem(), 0.01)
    torch.testing.assert_close(weights.sum(1), torch.zeros(5).double(), rtol=0, atol=1e-6)


def test_pictures_that_the_texts_already_tell_move_little() -> None:
    points, _, labels = problem()
    surprised = -30 * F.one_hot(labels, 3).double()
    known = map_weights(points, -surprised, labels, 0.1)
    assert float(known.abs().max()) < 1e-6
    assert float(map_weights(points, surprised, labels, 0.1).abs().max()) > 1
