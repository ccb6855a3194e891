"""Names counted against the truth."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from trifocal.concepts.concept_map import ConceptMap
from trifocal.concepts.evidence import Evidence
from trifocal.concepts.named import names_right
from trifocal.concepts.support import unit

CLASSES, CONCEPTS, WIDTH = 4, 10, 24
SHOWN = torch.rand(CLASSES, CONCEPTS, generator=torch.Generator().manual_seed(5)) < 0.3
WORDS = unit(torch.randn(CONCEPTS, WIDTH, generator=torch.Generator().manual_seed(7)))


def pictures(each: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return features, classes and shown concepts: those of the class, and one more by chance."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(CLASSES).repeat_interleave(each)
    shown = SHOWN[labels].clone()
    shown[torch.arange(len(labels)), torch.randint(CONCEPTS, labels.shape, generator=generator)] = (
        True
    )
    noise = torch.randn(len(labels), WIDTH, generator=generator) / 12
    return shown.float() @ WORDS + noise, labels, shown


@pytest.fixture(scope="module")
def head() -> ConceptMap:
    x, labels, _ = pictures(8, 0)
    return ConceptMap(scale=1.0, select=False).fit(x, labels, None, WORDS)


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    x, _, shown = pictures(50, 1)
    return Evidence.from_named(x, shown)


def test_names_that_evidence_lets_pass_are_true(head: ConceptMap, evidence: Evidence) -> None:
    x, _, shown = pictures(25, 2)
    asked, unasked = (names_right(head, x, shown, each) for each in (evidence, None))
    assert asked.precision > 0.85
    assert asked.precision > unasked.precision
    assert unasked.named == 3 * unasked.pictures == 300
    assert asked.each <= 3
    assert asked.recall == asked.right / int(shown.sum())
    assert asked.told <= 100


def test_nothing_named_is_nothing_wrong(head: ConceptMap, evidence: Evidence) -> None:
    x, _, shown = pictures(2, 2)
    never = Evidence(evidence.directions, evidence.offsets, 1e9)
    found = names_right(head, x, shown, never)
    assert (found.named, found.told, found.precision) == (0, 0, 1.0)
