"""The linear probe: its optimum, and the search for C."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from trifocal.concepts.baselines import LinearProbe
from trifocal.concepts.support import unit


@pytest.fixture
def data() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    centers = torch.randn(3, 6, generator=generator).double()
    labels = torch.arange(30) % 3
    noise = torch.randn(2, 30, 6, generator=generator).double()
    support, val = (centers[labels] + noise).unbind()
    return support, val, labels


@pytest.mark.parametrize("shots", [1, 10])  # fewer rows than channels, and more
def test_the_gradient_vanishes(data: tuple[torch.Tensor, ...], shots: int) -> None:
    support, labels = data[0][: 3 * shots], data[2][: 3 * shots]
    head = LinearProbe(strength=2).fit(support, labels)
    weights = head.weights_.clone().requires_grad_()
    biases = head.biases_.clone().requires_grad_()
    loss = 2 * F.cross_entropy(unit(support) @ weights.T + biases, labels, reduction="sum")
    (loss + weights.square().sum() / 2).backward()
    assert weights.grad is not None
    assert biases.grad is not None
    assert float(weights.grad.abs().max()) < 2e-3
    assert float(biases.grad.abs().max()) < 2e-3
    assert head.trainable_parameters == 3 * 7


def test_the_search_is_at_least_as_good_as_the_coarse_grid(
    data: tuple[torch.Tensor, ...],
) -> None:
    support, val, labels = data
    searched = LinearProbe().fit(support, labels, val=(val, labels))
    right = int((searched.predict(val) == labels).sum())
    for strength in (1e6, 1e2, 1e-2):
        other = LinearProbe(strength=strength).fit(support, labels)
        # Bisection starts a tenth and ten times from the peak, so it may lose one picture or two.
        assert right >= int((other.predict(val) == labels).sum()) - 2
    assert LinearProbe().fit(support, labels).strength_ == 31.6
