"""How much of a decision do concepts carry? Deletion and insertion, with concepts in place of pixels.

The concepts of a picture are put in order, the strongest first, and the k first are kept alone beside
class texts and biases (insertion), or taken out of the whole (deletion), after Petsiuk et al., BMVC 2018
(arXiv 1806.07421). A logit is a sum (`summands`), so both are exact and nothing is fitted again. What
is asked each time: is the answer right, and how far is the class that the whole head decides for above
the next? The same in random order says what the order is worth.

The strongest concept is the one that does most, by size, for what sets the decided class apart from the
mean of all classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trifocal.concepts.summands import Summands
from trifocal.metrics.accuracy import correct_at

STEPS = (0, 1, 2, 3, 5, 8, 16)
_DRAWS = 4  # random orders


@dataclass(frozen=True)
class ConceptCurves:
    """Accuracy and margin against the number of concepts; of a step each.

    A margin is the decided class's logit above the highest other one, averaged over pictures; the
    head's own is 1.

    Attributes:
        steps: Numbers of concepts.
        right_with: Accuracy with so many of the strongest, class texts and biases alone.
        right_without: With all but these.
        margin_with, margin_without: The margin likewise.
        random_with, random_without: The margin where the order is drawn.
        told: Share of pictures that have any concept.
        pictures: How many were asked.
    """

    steps: tuple[int, ...]
    right_with: tuple[float, ...]
    right_without: tuple[float, ...]
    margin_with: tuple[float, ...]
    margin_without: tuple[float, ...]
    random_with: tuple[float, ...]
    random_without: tuple[float, ...]
    told: float
    pictures: int

    def area(self, values: Sequence[float]) -> float:
        """Return the mean of a curve over the number of concepts (trapezoids)."""
        return float(np.trapezoid(values, self.steps)) / (self.steps[-1] - self.steps[0])


def concept_curves(
    parts: Summands, labels: Tensor, steps: Sequence[int] = STEPS, seed: int = 0
) -> ConceptCurves:
    """Return what a head keeps and loses with the concepts of n pictures.

    Args:
        parts: Their logits in parts, for two classes at least.
        labels: (n,) their classes.
        steps: Numbers of concepts, rising.
        seed: Of the random orders.
    """
    whole = parts.logits
    decided = whole.argmax(1)
    there = parts.shares != 0
    own = _Curve(parts, whole, decided, labels)
    strongest = parts.strengths(decided).abs()
    right_with, margin_with = own.over(strongest, steps, kept=True)
    right_without, margin_without = own.over(strongest, steps, kept=False)
    generator = torch.Generator().manual_seed(seed)
    drawn = [
        torch.rand(there.shape, generator=generator).to(parts.shares) * there for _ in range(_DRAWS)
    ]
    random = [
        np.mean([own.over(order, steps, kept=kept)[1] for order in drawn], axis=0).tolist()
        for kept in (True, False)
    ]
    return ConceptCurves(
        tuple(steps),
        tuple(right_with),
        tuple(right_without),
        tuple(margin_with),
        tuple(margin_without),
        tuple(random[0]),
        tuple(random[1]),
        float(there.any(1).float().mean()) if there.shape[1] else 0.0,
        len(labels),
    )


class _Curve:
    """What is asked of logits with some concepts, along an order of them."""

    def __init__(self, parts: Summands, whole: Tensor, decided: Tensor, labels: Tensor) -> None:
        self.parts, self.whole, self.decided, self.labels = parts, whole, decided, labels
        self.full = float(_margins(whole, decided).mean())

    def over(
        self, strength: Tensor, steps: Sequence[int], *, kept: bool
    ) -> tuple[list[float], list[float]]:
        """Return accuracy and margin with, or without, the k strongest of (n, K), for each step k."""
        places = strength.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
        right, margin = [], []
        for k in steps:
            some = self.parts.named(places < k)
            logits = self.parts.base + some if kept else self.whole - some
            right.append(float(correct_at(logits, self.labels).mean()))
            margin.append(float(_margins(logits, self.decided).mean()) / self.full)
        return right, margin


def _margins(logits: Tensor, decided: Tensor) -> Tensor:
    """Return (n,) how far the logits of classes (n,) are above the highest of the others."""
    own = logits.gather(1, decided[:, None])
    others = logits.scatter(1, decided[:, None], -torch.inf)
    return own[:, 0] - others.amax(1)
