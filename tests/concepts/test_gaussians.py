"""Gaussian classes: the nearest mean, and leaving out one picture in closed form."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from trifocal.concepts.gaussians import class_gaussians, leave_one_out
from trifocal.concepts.rows import class_sums


def draw(counts: list[int], width: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    return torch.randn(len(labels), width, generator=generator, dtype=torch.float64), labels


def scatter_of(points: Tensor, labels: Tensor, classes: int) -> Tensor:
    counts = torch.bincount(labels, minlength=classes)[:, None]
    away = points - (class_sums(points, labels, classes) / counts)[labels]
    return away.T @ away


def same_up_to_a_number(found: Tensor, expected: Tensor) -> None:
    """Logits of a picture may have any number added."""
    rows = [each - each.mean(1, keepdim=True) for each in (found, expected)]
    torch.testing.assert_close(*rows)


def test_logits_are_half_squared_distances() -> None:
    points, labels = draw([3, 2, 4], 5, 0)
    gaussians = class_gaussians(points, labels, 3)
    distances = torch.cdist(points, gaussians.means).square()
    same_up_to_a_number(gaussians(points), distances / -2)
    torch.testing.assert_close(gaussians.weights.sum(1), torch.zeros(5).double())


@given(st.lists(st.integers(2, 4), min_size=2, max_size=4), st.integers(0, 20))
def test_leaving_one_out_is_fitting_without_it(counts: list[int], seed: int) -> None:
    raw, labels = draw(counts, 4, seed)
    classes, ridge = len(counts), 0.7
    full = scatter_of(raw, labels, classes) + ridge * torch.eye(4).double()
    root = torch.linalg.inv(
        torch.linalg.cholesky(full)
    ).T  # whitens: rootᵀ full root is the identity
    points = raw @ root
    found = leave_one_out(class_gaussians(points, labels, classes), points, labels, 1.0)
    some = torch.tensor([len(raw) - 1, 0])
    again = leave_one_out(class_gaussians(points, labels, classes), points[some], labels[some], 1.0)
    torch.testing.assert_close(again, found[some])
    for row in range(len(raw)):
        rest = torch.arange(len(raw)) != row
        less = scatter_of(raw[rest], labels[rest], classes) + ridge * torch.eye(4).double()
        means = class_gaussians(raw[rest], labels[rest], classes).means
        away = raw[row] - means
        expected = -(away * torch.linalg.solve(less, away.T).T).sum(1) / 2
        same_up_to_a_number(found[row][None], expected[None])


@pytest.mark.parametrize("scatter", [1.0, math.inf])
def test_a_class_of_one_picture_keeps_it(scatter: float) -> None:
    points, labels = draw([1, 3], 4, 0)
    gaussians = class_gaussians(points, labels, 2)
    found = leave_one_out(gaussians, points, labels, scatter)
    assert bool(found.isfinite().all())
    same_up_to_a_number(found[:1], gaussians(points[:1]))
