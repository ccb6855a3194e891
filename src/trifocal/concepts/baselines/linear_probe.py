"""The linear probe: multinomial logistic regression on unit features, without texts.

Minimizes C Σ_i CE_i + ½ ‖W‖² (the bias is free) by L-BFGS, as scikit-learn's LogisticRegression
does. This is CLIP's own few-shot baseline (arXiv 2103.00020, section 3.1.2), with the search for C
that CoOp uses (arXiv 2109.01134, released code).

With validation data: C is the best of 1e6, 1e4, ..., 1e-6, the largest of the best; then 8 steps of
bisection between a tenth and ten times of it, in logarithms. Without: `strength`, by default
CLIP's own 0.316 for features of its usual length 10, which is 31.6 for unit ones.

The released code fits features of their own length; here they are unit, as for all heads, which
shifts the best C by their squared length.

When to use: without class texts and with many shots.

Relations: `concept_map` is this with zero-shot CLIP as its prior; ZS-LP and LP++ start from the
texts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from scipy import optimize
from torch import Tensor

from trifocal.concepts.explanation import Term
from trifocal.concepts.head import Head
from trifocal.concepts.rows import queries
from trifocal.concepts.support import Labeled, Support, unit

STRENGTHS = (1e6, 1e4, 1e2, 1.0, 1e-2, 1e-4, 1e-6)
BISECTIONS = 8


@dataclass(eq=False)
class LinearProbe(Head):
    """Logistic regression on image features.

    Attributes:
        strength: C, where it is not searched.
        steps: Most iterations of L-BFGS.
    """

    strength: float = 31.6
    steps: int = 1000

    wants_text: ClassVar[bool] = False
    reads_text: ClassVar[bool] = False
    searches: ClassVar[bool] = True

    def _fit(self, data: Support) -> None:
        problem = _Problem(data.features, data.labels, data.classes, self.steps)
        self.strength_ = self.strength
        if data.val is not None:
            self.strength_ = _searched(problem, data.val)
        self.weights_, self.biases_ = problem.solved(self.strength_)

    def _logits(self, features: Tensor) -> Tensor:
        return queries(features, self.weights_) @ self.weights_.T + self.biases_

    def _terms(self, feature: Tensor, label: int) -> list[Term]:
        x = queries(feature, self.weights_)[0]
        return [
            Term("network", float(x @ self.weights_[label])),
            Term("bias", float(self.biases_[label])),
        ]

    @property
    def trainable_parameters(self) -> int:
        """D d + D."""
        return self.weights_.numel() + self.biases_.numel()


class _Problem:
    """Logistic regression on one support, for several C."""

    def __init__(self, x: Tensor, labels: Tensor, classes: int, steps: int) -> None:
        # Solutions lie in the span of the rows: with fewer rows than channels, work in it.
        self._basis = torch.linalg.qr(x.T).Q if len(x) < x.shape[1] else None
        self._x = x if self._basis is None else x @ self._basis
        self._rows, self._labels = torch.arange(len(x), device=x.device), labels
        self._classes, self._steps = classes, steps
        self._known: dict[float, np.ndarray] = {}

    def solved(self, strength: float) -> tuple[Tensor, Tensor]:
        """Return weights (D, d) and biases (D,)."""
        if strength not in self._known:
            # From the nearest solution known, which is a fraction of the way.
            start = min(self._known, key=lambda one: abs(math.log(one / strength)), default=None)
            width = self._x.shape[1] + 1
            self._known[strength] = optimize.minimize(
                self._value,
                np.zeros(self._classes * width) if start is None else self._known[start],
                (strength,),
                "L-BFGS-B",
                jac=True,
                options={"maxiter": self._steps, "gtol": 1e-5},
            ).x
        weights, biases = self._split(self._known[strength])
        return (weights if self._basis is None else weights @ self._basis.T), biases

    def _split(self, flat: np.ndarray) -> tuple[Tensor, Tensor]:
        values = torch.as_tensor(flat).to(self._x).view(self._classes, -1)
        return values[:, :-1], values[:, -1]

    def _value(self, flat: np.ndarray, strength: float) -> tuple[float, np.ndarray]:
        """Return the loss over C n, and its gradient."""
        weights, biases = self._split(flat)
        count = len(self._x)
        log = torch.addmm(biases, self._x, weights.T).log_softmax(1)
        value = -log[self._rows, self._labels].mean()
        value = value + weights.square().sum() / (2 * strength * count)
        gradient = log.exp_()
        gradient[self._rows, self._labels] -= 1
        gradient /= count
        slope = torch.cat(
            [gradient.T @ self._x + weights / (strength * count), gradient.sum(0)[:, None]], 1
        )
        return float(value), slope.flatten().double().cpu().numpy()


def _searched(problem: _Problem, val: Labeled) -> float:
    x, labels = unit(val[0]), val[1]

    def accuracy(strength: float) -> float:
        weights, biases = problem.solved(strength)
        return float(((x @ weights.T + biases).argmax(1) == labels).float().mean())

    # From weak to strong, each from the solution before; the largest of the best is the peak.
    found = {strength: accuracy(strength) for strength in reversed(STRENGTHS)}
    peak = math.log10(max(STRENGTHS, key=lambda strength: found[strength]))
    left, right = peak - 1, peak + 1
    best = peak
    for _ in range(BISECTIONS):
        if accuracy(10**left) < accuracy(10**right):
            best, left = right, (left + right) / 2
        else:
            best, right = left, (left + right) / 2
    return 10**best
