"""Tip-Adapter's numbers, its search, and what training changes."""

from __future__ import annotations

import pytest
import torch

from tests.concepts.baselines.toy import LABELS, QUERY, SUPPORT, TEXT, near, rows
from trifocal.concepts.baselines import TipAdapter, TipAdapterF
from trifocal.concepts.head import Head

KEYS = rows((1, 0, 0), (0.8, 0.6, 0), (0, 1, 0), (0, 0.6, 0.8))
OWN = torch.tensor([0, 0, 1, 1])
TEXTS = rows((0.6, 0, 0.8), (0, 0.6, 0.8))


@pytest.mark.parametrize(
    ("beta", "alpha", "logits"),
    [
        (1, 1.17, (37.908398098, 49.653504022)),
        (5.5, 2, (37.826643913, 48.780279688)),
        (10, 0.5, (36.344317842, 48.070425924)),
    ],
)
def test_logits(beta: float, alpha: float, logits: tuple[float, float]) -> None:
    head = TipAdapter(alpha=alpha, beta=beta).fit(KEYS, OWN, TEXTS)
    near(head.logits(rows((0.6, 0.8, 0))), *logits)


def test_without_the_cache_it_is_zero_shot() -> None:
    head = TipAdapter(alpha=0).fit(KEYS, OWN, TEXTS)
    near(head.logits(rows((0.6, 0.8, 0))), 36, 48)


def test_the_cache_alone_works_without_texts() -> None:
    head = TipAdapter(alpha=1, beta=5.5).fit(SUPPORT, LABELS)
    near(head.logits(QUERY), 0.126700785, 0.530580991, 0.785809096)


def test_views_are_averaged_as_they_are() -> None:
    views = rows((2, 0, 0), (0, 1, 0))[None]
    near(TipAdapter().fit(views, [0]).keys_, 0.894427191, 0.447213595, 0)


def test_a_term_for_the_text_and_for_each_image_of_the_class() -> None:
    head: Head = TipAdapter(alpha=1, beta=5.5).fit(SUPPORT, LABELS, TEXT)
    explained = head.explain(QUERY, [2])[0]
    assert [term.kind for term in explained.terms] == ["text", "image", "image"]
    assert {term.images for term in explained.terms[1:]} == {(4,), (5,)}
    assert sum(term.value for term in explained.terms) == pytest.approx(explained.logit)
    assert explained.terms[0].value == pytest.approx(85.6)


def test_validation_data_chooses_from_the_grid() -> None:
    generator = torch.Generator().manual_seed(0)
    support, val = torch.randn(2, 30, 8, generator=generator).unbind()
    labels = torch.arange(30) % 3
    text = torch.randn(3, 8, generator=generator)
    head = TipAdapter(alpha_max=5, beta_max=12).fit(support, labels, text, val=(val, labels))
    assert head.alpha_ in [0.1 + j * 4.9 / 20 for j in range(20)]
    assert head.beta_ in [0.1 + i * 11.9 / 200 for i in range(200)]
    fixed = TipAdapter().fit(support, labels, text)
    chosen, given = (float((h.predict(val) == labels).float().mean()) for h in (head, fixed))
    assert chosen >= given


def test_training_lowers_the_loss_and_moves_only_keys() -> None:
    generator = torch.Generator().manual_seed(0)
    support, labels = torch.randn(40, 16, generator=generator), torch.arange(40) % 4
    text = torch.randn(4, 16, generator=generator)
    before = TipAdapter().fit(support, labels, text)
    after = TipAdapterF().fit(support, labels, text)
    loss = torch.nn.functional.cross_entropy
    assert loss(after.logits(support), labels) < loss(before.logits(support), labels)
    assert torch.equal(after.text_, before.text_)
    assert not torch.equal(after.keys_, before.keys_)
    assert after.trainable_parameters == 40 * 16
