"""LP++: where it starts, one step by autograd, and which epoch it keeps."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from tests.concepts.baselines.toy import LABELS, QUERY, SUPPORT, TEXT, near
from trifocal.concepts.baselines import LPPlusPlus
from trifocal.concepts.baselines.lp_plus_plus import starting_point


def test_start() -> None:
    start = starting_point(SUPPORT, LABELS, TEXT)
    assert start.weight_step == pytest.approx(8.108108108, abs=1e-9)
    assert start.blend_step == pytest.approx(0.609557867, abs=1e-9)
    assert start.blend == pytest.approx(225)
    near(start.weights, 1.8, 0.6, 0, 0, 1.8, 0.6, 0.6, 0, 1.8)
    near(LPPlusPlus(epochs=0).fit(SUPPORT, LABELS, TEXT).logits(QUERY), 130.536, 195.744, 194.256)


@pytest.mark.parametrize("accumulate", [False, True])
def test_steps_are_those_of_autograd(accumulate: bool) -> None:
    start = starting_point(SUPPORT, LABELS, TEXT)
    weights = start.weights.clone().requires_grad_()
    blend = torch.full((3,), start.blend, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([weights], start.weight_step, momentum=0.9)
    for epoch in range(20):
        optimizer.zero_grad()
        if not accumulate:
            blend.grad = None
        loss = F.cross_entropy(SUPPORT @ weights.T + blend * (SUPPORT @ TEXT.T), LABELS)
        loss.backward()
        optimizer.step()
        if (epoch + 1) % 10 == 0:
            with torch.no_grad():
                assert blend.grad is not None
                blend -= start.blend_step * blend.grad
    head = LPPlusPlus(epochs=20, accumulate=accumulate).fit(SUPPORT, LABELS, TEXT)
    torch.testing.assert_close(head.weights_, weights.detach())
    torch.testing.assert_close(head.blend_, blend.detach())
    assert head.trainable_parameters == 12


def test_validation_keeps_the_best_epoch() -> None:
    generator = torch.Generator().manual_seed(0)
    support, val = torch.randn(2, 20, 8, generator=generator).unbind()
    text, labels = torch.randn(4, 8, generator=generator), torch.arange(20) % 4
    last = LPPlusPlus().fit(support, labels, text)
    kept = LPPlusPlus().fit(support, labels, text, val=(val, labels))
    right = [int((head.predict(val) == labels).sum()) for head in (last, kept)]
    assert right[1] >= right[0]
