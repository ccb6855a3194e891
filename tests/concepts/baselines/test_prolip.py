"""ProLIP: features from before the projection, their checks, and what the pull does."""

from __future__ import annotations

import pytest
import torch

from tests.concepts.baselines.toy import LABELS
from trifocal.concepts.baselines import ProLIP
from trifocal.concepts.support import unit
from trifocal.errors import UserError

GENERATOR = torch.Generator().manual_seed(0)
SUPPORT = torch.randn(6, 5, generator=GENERATOR).double()
PROJECTION = torch.randn(5, 4, generator=GENERATOR).double()
TEXT = torch.randn(3, 4, generator=GENERATOR).double()


def test_before_training_it_is_zero_shot() -> None:
    head = ProLIP(epochs=0).fit(SUPPORT, LABELS, TEXT, projection=PROJECTION)
    expected = 100 * unit(SUPPORT @ PROJECTION) @ unit(TEXT).T
    torch.testing.assert_close(head.logits(SUPPORT), expected)
    torch.testing.assert_close(head.new_logits(SUPPORT, TEXT), expected)
    assert head.trainable_parameters == 20


def test_a_bias_is_added_and_kept() -> None:
    bias = torch.ones(4).double()
    head = ProLIP(lr=1e-2).fit(SUPPORT, LABELS, TEXT, projection=PROJECTION, bias=bias)
    assert torch.equal(head.bias_, bias)
    tuned = unit(SUPPORT @ head.projection_ + bias)
    torch.testing.assert_close(head.logits(SUPPORT), 100 * tuned @ unit(TEXT).T)


def test_the_pull_keeps_the_projection_near() -> None:
    moved = [
        float((head.projection_ - PROJECTION).norm())
        for pull in (0.0, 10.0)
        for head in [ProLIP(lr=1e-2, pull=pull).fit(SUPPORT, LABELS, TEXT, projection=PROJECTION)]
    ]
    assert 0 < moved[1] < moved[0]


def test_validation_chooses_the_learning_rate() -> None:
    head = ProLIP(epochs=20).fit(
        SUPPORT, LABELS, TEXT, val=(SUPPORT, LABELS), projection=PROJECTION
    )
    assert head.lr_ in (1e-2, 1e-3, 1e-4, 1e-5)


def test_terms_add_up() -> None:
    head = ProLIP(lr=1e-2).fit(SUPPORT, LABELS, TEXT, projection=PROJECTION)
    for explained in head.explain(SUPPORT):
        assert sum(term.value for term in explained.terms) == pytest.approx(explained.logit)


def test_saved_and_loaded() -> None:
    head = ProLIP().fit(SUPPORT, LABELS, TEXT, projection=PROJECTION)
    again = ProLIP().load_state(*head.state())
    assert torch.equal(again.logits(SUPPORT), head.logits(SUPPORT))


def test_what_does_not_fit_is_said() -> None:
    with pytest.raises(UserError, match="the features from before it and `projection`"):
        ProLIP().fit(SUPPORT, LABELS, TEXT)
    with pytest.raises(UserError, match="features from before the projection"):
        ProLIP().fit(SUPPORT[:, :4], LABELS, TEXT, projection=PROJECTION)
    with pytest.raises(UserError, match="class_text"):
        ProLIP().fit(SUPPORT, LABELS, TEXT[:, :3], projection=PROJECTION)
    with pytest.raises(UserError, match="needs class_text"):
        ProLIP().fit(SUPPORT, LABELS, projection=PROJECTION)
    with pytest.raises(UserError, match="class 1 has no support image"):
        ProLIP().fit(SUPPORT, [0, 0, 0, 2, 2, 2], TEXT, projection=PROJECTION)
