"""Curves of concepts against a plain loop over pictures and concepts."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trifocal.concepts.curves import concept_curves
from trifocal.concepts.summands import Summands


def drawn(seed: int, n: int = 5, concepts: int = 7, classes: int = 4, each: int = 6) -> Summands:
    """Return sums of n pictures; some have fewer concepts than others."""
    generator = torch.Generator().manual_seed(seed)
    numbers = torch.stack([torch.randperm(concepts, generator=generator)[:each] for _ in range(n)])
    shares = torch.rand(n, each, generator=generator)
    shares[torch.rand(n, each, generator=generator) < 0.3] = 0
    shares[0] = 0
    base, table, rest = (
        torch.randn(rows, classes, generator=generator) for rows in (n, concepts, n)
    )
    return Summands(base, numbers, shares, table, rest)


def plain(parts: Summands, labels: torch.Tensor, k: int, kept: bool) -> tuple[float, float]:
    """Return accuracy and mean margin, picture by picture and concept by concept."""
    right, margins, full = 0, 0.0, 0.0
    for i in range(len(labels)):
        values = [
            (float(share) * parts.table[int(c)])
            for c, share in zip(parts.concepts[i], parts.shares[i])
        ]
        whole = parts.base[i] + sum(values) + parts.rest[i]
        best = int(whole.argmax())
        values.sort(key=lambda v: -abs(float(v[best] - v.mean())))
        some = sum(values[:k], torch.zeros(len(whole)))
        logits = parts.base[i] + some if kept else whole - some
        right += int(int(logits.argmax()) == int(labels[i]))
        others = [c for c in range(len(whole)) if c != best]
        margins += float(logits[best] - logits[others].max())
        full += float(whole[best] - whole[others].max())
    return right / len(labels), margins / full


@given(st.integers(0, 200))
@settings(max_examples=25)
def test_curves_are_those_of_a_plain_loop(seed: int) -> None:
    parts, labels = drawn(seed), torch.arange(5) % 4
    found = concept_curves(parts, labels, (0, 1, 3, 16))
    for place, k in enumerate(found.steps):
        right, margin = plain(parts, labels, k, kept=True)
        assert found.right_with[place] == pytest.approx(right)
        assert found.margin_with[place] == pytest.approx(margin, rel=1e-3, abs=1e-4)
        right, margin = plain(parts, labels, k, kept=False)
        assert found.right_without[place] == pytest.approx(right)
        assert found.margin_without[place] == pytest.approx(margin, rel=1e-3, abs=1e-4)
    # All concepts are all in any order, and none are none.
    for own, random in (
        (found.margin_with, found.random_with),
        (found.margin_without, found.random_without),
    ):
        assert (own[0], own[-1]) == pytest.approx((random[0], random[-1]), rel=1e-3, abs=1e-4)
    assert found.margin_without[0] == pytest.approx(1)
    assert found.pictures == 5


def test_an_order_that_knows_what_decides_is_worth_more_than_chance() -> None:
    n, concepts = 40, 8
    shares = torch.ones(n, concepts)
    numbers = torch.arange(concepts).expand(n, -1)
    table = torch.zeros(concepts, 2)
    table[:, 0] = torch.tensor([8.0, 4, 2, 1, 0.5, 0.2, 0.1, 0.0])
    parts = Summands(torch.zeros(n, 2), numbers, shares, table, torch.zeros(n, 2))
    found = concept_curves(parts, torch.zeros(n, dtype=torch.long), range(concepts + 1))
    assert found.area(found.margin_with) > found.area(found.random_with) + 0.2
    assert found.area(found.margin_without) < found.area(found.random_without) - 0.2
    assert found.area(found.random_with) == pytest.approx(0.5, abs=0.05)
    assert found.right_with == (0.5,) + (1.0,) * concepts  # equal logits share the answer
    assert found.told == 1


def test_pictures_without_a_concept_keep_what_they_have() -> None:
    parts = drawn(1)
    nothing = Summands(
        parts.base, parts.concepts[:, :0], parts.shares[:, :0], parts.table, parts.rest
    )
    found = concept_curves(nothing, torch.zeros(5, dtype=torch.long), (0, 1, 2))
    assert found.told == 0
    assert found.margin_without == pytest.approx((1, 1, 1))
    assert len(set(found.margin_with)) == 1
