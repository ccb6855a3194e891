"""What each concept adds to the logits of all classes, for many pictures at once.

`Head.explain` says it of one class in terms for people; here are the same numbers as tensors, of heads
that are linear in concepts:

    logits = base + sum_k shares[k] table[concepts[k]] + rest

Concept map: shares are a picture's sparse code, the table is what concepts are in its space times the
weights. CCLI (training-free, linear, full): shares are scores, the table is the association times α.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import singledispatch

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from trifocal.concepts.ccli import CCLI
from trifocal.concepts.concept_map import ATOMS, ConceptMap
from trifocal.concepts.head import Head
from trifocal.concepts.rows import queries
from trifocal.concepts.sparse import sparse_codes
from trifocal.concepts.support import unit


@dataclass(frozen=True, eq=False)
class Summands:
    """Logits of n pictures for D classes, in parts.

    Attributes:
        base: (n, D) class texts and biases.
        concepts: (n, K) numbers of concepts.
        shares: (n, K) how much of each; 0 where a picture has fewer.
        table: (I, D) what a share of 1 adds.
        rest: (n, D) what has no name.
    """

    base: Tensor
    concepts: Tensor
    shares: Tensor
    table: Tensor
    rest: Tensor

    @property
    def logits(self) -> Tensor:
        """(n, D): their sum."""
        return self.base + self.named() + self.rest

    def named(self, kept: Tensor | None = None) -> Tensor:
        """Return (n, D) what concepts add; of those that are `kept` (n, K), all by default."""
        shares = self.shares if kept is None else self.shares * kept
        weights = torch.zeros(len(shares), len(self.table)).to(shares)
        return weights.scatter_add_(1, self.concepts, shares) @ self.table

    def strengths(self, labels: Tensor) -> Tensor:
        """Return (n, K) what concepts add to the logit of classes (n,) above the mean of all."""
        apart = (self.table - self.table.mean(1, keepdim=True)).T[labels]  # (n, I)
        return self.shares * apart.gather(1, self.concepts)


@singledispatch
def summands(
    head: Head, features: Tensor, among: Tensor | None = None, most: int = ATOMS
) -> Summands | None:
    """Return the logits of pictures in parts; None for a head whose logits have no concepts in them.

    Args:
        head: A fitted head.
        features: (n, d).
        among: (n, I) bools, which concepts may be named; what others add is rest. By default any.
        most: Concepts that a picture is written as at most, where that is a matter of choice.
    """
    return None


@summands.register
def _(
    head: ConceptMap, features: Tensor, among: Tensor | None = None, most: int = ATOMS
) -> Summands | None:
    if not hasattr(head, "concepts_"):
        return None
    x = queries(features, head.text_)
    points = head._points(x)  # pyright: ignore[reportPrivateUsage]
    concepts = unit((head.concepts_ - head.concepts_.mean(0)) @ head.metric_)
    codes = sparse_codes(points, concepts, most, among)
    found, shares = (pad_sequence([code[part] for code in codes], True) for part in (0, 1))
    whole = points @ head.weights_
    made = Summands(
        head.logits(features) - whole, found, shares, concepts @ head.weights_, torch.zeros(())
    )
    return replace(made, rest=whole - made.named())


@summands.register
def _(
    head: CCLI, features: Tensor, among: Tensor | None = None, most: int = ATOMS
) -> Summands | None:
    if not hasattr(head, "concepts_") or head.head not in ("tf", "linear", "full"):
        return None
    x = queries(features, head.text_)
    scores = head._scores(x)  # pyright: ignore[reportPrivateUsage]
    shares = scores if among is None else scores * among
    every = torch.arange(len(head.concepts_)).expand(len(x), -1)
    table = head.chosen_["alpha"] * head.association_
    made = Summands(head._text(x), every, shares, table, torch.zeros(()))  # pyright: ignore[reportPrivateUsage]
    return replace(made, rest=head.logits(features) - made.base - made.named())
