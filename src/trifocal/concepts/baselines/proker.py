"""ProKeR (Bendou et al., CVPR 2025, arXiv 2501.11175): kernel ridge regression on what CLIP misses.

    K(a, b) = exp(-β (1 - a·b)),    B = (K(V, V) / λ + I)⁻¹ (Y - V W)
    logits = x W + K(x, V) B

on the scale of cosines; here all of it is multiplied by `scale`, which changes no prediction and
makes probabilities useful. As released, the canonical factor 1 / λ of ridge regression is absent:
λ → 0 gives zero-shot CLIP, and λ → ∞ adds K (Y - V W).

Nothing is selected, with or without validation data: β and λ are fixed by the number of shots
(`FIXED`, the values of a repository derived from ProKeR's; in between, those of the next lower
number).

When to use: closed form, no validation data, as long as a system of as many equations as support images
can be solved.

Relations: Tip-Adapter with the same kernel whose values are solved for instead of being the labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from trifocal.concepts.explanation import Term, image_terms
from trifocal.concepts.head import Head
from trifocal.concepts.rows import in_blocks, queries
from trifocal.concepts.support import Support

# Shots: (β, λ).
FIXED = {1: (3.0, 0.05), 2: (2.6, 0.05), 4: (1.5, 0.05), 8: (1.66, 0.07), 16: (1.7, 0.1)}


@dataclass(eq=False)
class ProKeR(Head):
    """ProKeR: training-free.

    Attributes:
        beta: Sharpness of the kernel; None takes the value for the number of shots.
        ridge: λ; None takes the value for the number of shots.
    """

    beta: float | None = None
    ridge: float | None = None

    wants_text: ClassVar[bool] = False

    def _fit(self, data: Support) -> None:
        self.text_, self.keys_ = data.class_text, data.features
        fixed = FIXED[max(shots for shots in FIXED if shots <= data.shots)]
        self.beta_ = fixed[0] if self.beta is None else self.beta
        self.ridge_ = fixed[1] if self.ridge is None else self.ridge
        missing = -self.keys_ @ self.text_.T
        missing[torch.arange(len(missing)), data.labels] += 1
        system = self._kernel(self.keys_).div_(self.ridge_)
        system.diagonal().add_(1)
        factor = torch.linalg.cholesky(system)
        self.coefficients_ = torch.cholesky_solve(missing, factor)  # (N, D)

    def _kernel(self, x: Tensor) -> Tensor:
        return (x @ self.keys_.T).sub_(1).mul_(self.beta_).exp_()

    def _logits(self, features: Tensor) -> Tensor:
        return in_blocks(
            lambda x: self.scale * (x @ self.text_.T + self._kernel(x) @ self.coefficients_),
            queries(features, self.keys_),
            len(self.keys_),
        )

    def _terms(self, feature: Tensor, label: int) -> list[Term]:
        x = queries(feature, self.keys_)
        values = self.scale * self._kernel(x)[0] * self.coefficients_[:, label]
        cosines = self.keys_ @ x[0]
        text = Term("text", float(self.scale * x[0] @ self.text_[label]))
        return [text, *image_terms(values, cosines, torch.arange(len(values)))]
