"""What each concept adds to all classes, against what an explanation says of one."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.concepts.test_named import CLASSES, CONCEPTS, WORDS, pictures
from trifocal.concepts.baselines.gda import GDA
from trifocal.concepts.ccli import CCLI
from trifocal.concepts.concept_map import ConceptMap
from trifocal.concepts.head import Head
from trifocal.concepts.summands import Summands, summands

HEADS = {
    "concept-map": lambda: ConceptMap(scale=5.0),
    "parts": lambda: ConceptMap(scale=5.0, metric="parts"),
    "text": lambda: ConceptMap(scale=5.0, visual="text", share=0.5),
    "ccli": lambda: CCLI(scale=5.0),
    "ccli-tf": lambda: CCLI(scale=5.0, head="tf", keep_images=True),
    "ccli-linear": lambda: CCLI(scale=5.0, head="linear"),
}
NAMED = ("text", "bias")


def fitted(head: Head) -> Head:
    x, labels, _ = pictures(6, 0)
    views = x[:, None] + torch.randn(len(x), 3, x.shape[1], generator=torch.manual_seed(1)) / 20
    texts = torch.randn(CLASSES, x.shape[1], generator=torch.Generator().manual_seed(2))
    return head.fit(views, labels, texts, WORDS)


def explained(head: Head, x: Tensor, label: int, among: Tensor | None) -> Tensor:
    """Return (n, 3) of one class by its explanations: base, concepts, rest."""
    rows = []
    for one in head.explain(x, [label] * len(x), 1000, among):
        named = sum(term.value for term in one.terms if term.kind == "concept")
        base = sum(term.value for term in one.terms if term.kind in NAMED)
        rows.append((base, named, one.logit - base - named))
    return torch.tensor(rows)


@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("name", HEADS)
def test_summands_are_those_of_explanations(name: str, gated: bool) -> None:
    head = fitted(HEADS[name]())
    x, _, shown = pictures(3, 3)
    among = shown if gated else None
    parts = summands(head, x, among)
    assert parts is not None
    torch.testing.assert_close(parts.logits, head.logits(x), rtol=1e-4, atol=1e-4)
    for label in range(CLASSES):
        mine = torch.stack([parts.base, parts.named(), parts.rest], -1)[:, label]
        torch.testing.assert_close(mine, explained(head, x, label, among), rtol=1e-4, atol=1e-4)
    if gated:
        bare = ~among.gather(1, parts.concepts)  # pyright: ignore[reportOptionalMemberAccess]
        assert not parts.shares[bare].any()


def test_strength_is_what_sets_a_class_apart() -> None:
    table = torch.tensor([[3.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    parts = Summands(
        torch.zeros(1, 3),
        torch.tensor([[1, 0]]),
        torch.tensor([[9.0, 2.0]]),
        table,
        torch.zeros(1, 3),
    )
    torch.testing.assert_close(parts.strengths(torch.tensor([0])), torch.tensor([[0.0, 4.0]]))
    torch.testing.assert_close(parts.strengths(torch.tensor([2])), torch.tensor([[0.0, -2.0]]))


def test_heads_without_concepts_have_none() -> None:
    x = pictures(1, 3)[0]
    for head in (GDA(), ConceptMap(visual="raw"), CCLI(head="mlp_plain")):
        assert summands(fitted(head), x) is None


def test_a_picture_of_which_nothing_may_be_named_is_all_rest() -> None:
    head = fitted(ConceptMap())
    x = pictures(2, 3)[0]
    parts = summands(head, x, torch.zeros(len(x), CONCEPTS, dtype=torch.bool))
    assert parts is not None
    assert not parts.named().any()
    torch.testing.assert_close(parts.base + parts.rest, head.logits(x))
