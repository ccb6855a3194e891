"""ProKeR: its numbers, its limits, its fixed values."""

from __future__ import annotations

import pytest
import torch

from tests.concepts.baselines.toy import LABELS, QUERY, SUPPORT, TEXT_2, near
from trifocal.concepts.baselines import ProKeR


def test_the_toy_set() -> None:
    # The published scale is that of cosines.
    head = ProKeR(scale=1, beta=1.7, ridge=0.1).fit(SUPPORT, LABELS, TEXT_2)
    near(head.coefficients_[0], 0.067600330, 0.070629689, -0.028075991)
    near(head.logits(QUERY), 0.558180745, 0.479610649, 0.961995280)


def test_limits() -> None:
    zero_shot = SUPPORT @ TEXT_2.T
    weak = ProKeR(scale=1, beta=1.7, ridge=1e-8).fit(SUPPORT, LABELS, TEXT_2)
    assert float((weak.logits(SUPPORT) - zero_shot).abs().max()) < 2e-8
    strong = ProKeR(scale=1, beta=1.7, ridge=1e12).fit(SUPPORT, LABELS, TEXT_2)
    missing = torch.nn.functional.one_hot(LABELS) - zero_shot
    expected = zero_shot + (-1.7 * (1 - SUPPORT @ SUPPORT.T)).exp() @ missing
    torch.testing.assert_close(strong.logits(SUPPORT), expected)


@pytest.mark.parametrize(
    ("shots", "fixed"), [(1, (3, 0.05)), (3, (2.6, 0.05)), (8, (1.66, 0.07)), (20, (1.7, 0.1))]
)
def test_fixed_values_by_shots(shots: int, fixed: tuple[float, float]) -> None:
    support = torch.randn(2 * shots, 4, generator=torch.Generator().manual_seed(0))
    head = ProKeR().fit(support, torch.arange(2 * shots) % 2)
    assert (head.beta_, head.ridge_) == fixed


def test_a_term_for_each_support_image() -> None:
    explained = ProKeR().fit(SUPPORT, LABELS, TEXT_2).explain(QUERY)[0]
    assert sum(term.kind == "image" for term in explained.terms) == 6
    assert sum(term.value for term in explained.terms) == pytest.approx(explained.logit)
