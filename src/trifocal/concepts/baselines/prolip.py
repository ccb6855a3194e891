"""ProLIP (Fahes et al., 2024, arXiv 2410.05270): CLIP's last visual projection, tuned gently.

    logits = scale * normalize(u P + b) · W
    loss: cross-entropy + λ ‖P - P₀‖²  (a sum),  λ = 1 / M for M shots

on features u from before the projection P; a bias b, which the projections of ResNets have, stays
as it was. Adam (eps 1e-4), 300 steps with all images, one view of each at a step, cosine to 0.

With validation data the learning rate is the best of `RATES`, the first of the best, by training
with each; without, it is 1e-5, as released (the authors find that all of `RATES` work).

New classes (base-to-new) are compared with the tuned features.

When to use: where the backbone's last projection may be changed, and its input is at hand.

Relations: a TaskRes of the image side, held near the start as CLAP holds texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import torch
from torch import Tensor
from torch.nn import functional as F

from trifocal.concepts.explanation import Term
from trifocal.concepts.head import Head
from trifocal.concepts.optimize import Recipe, descend
from trifocal.concepts.support import Labeled, Support, unit
from trifocal.errors import UserError

RATES = (1e-2, 1e-3, 1e-4, 1e-5)


@dataclass(eq=False)
class ProLIP(Head):
    """ProLIP: the last visual projection, tuned and held near its start.

    Attributes:
        lr: Learning rate, where it is not chosen on validation data.
        pull: λ; None takes one over the number of shots.
        epochs: Full-batch steps.
    """

    lr: float = 1e-5
    pull: float | None = None
    epochs: int = 300

    wants_projection: ClassVar[bool] = True
    searches: ClassVar[bool] = True

    def fit(
        self,
        support: Tensor,
        labels: Tensor | Sequence[int],
        class_text: Tensor | None = None,
        concept_text: Tensor | None = None,
        val: Labeled | None = None,
        projection: Tensor | None = None,
        bias: Tensor | None = None,
    ) -> Self:
        """Fit to features from before the projection; return self.

        Args:
            support: (N, w), or (N, V, w) with several views of each picture.
            labels: (N,) integers 0..D-1; every class has a picture.
            class_text: (D, d) text features of the classes.
            concept_text: Not used.
            val: Features (n, w) and labels (n,) for selection.
            projection: (w, d) the backbone's last visual projection.
            bias: (d,) what the backbone adds after it, if anything.

        Raises:
            UserError: the projection is missing or does not fit, or as for all heads.
        """
        if projection is None:
            raise UserError(
                "ProLIP tunes the backbone's last projection; give fit the features from before it "
                "and `projection`, or choose another head."
            )
        if projection.ndim != 2 or support.shape[-1] != projection.shape[0]:
            raise UserError(
                f"projection must be (w, d) for features of width w = {support.shape[-1]}, not of "
                f"shape {tuple(projection.shape)}; give features from before the projection."
            )
        self._given = (projection, bias)
        try:
            return super().fit(support, labels, class_text, None, val)
        finally:
            del self._given

    def _checked(
        self,
        support: Tensor,
        labels: Tensor | Sequence[int],
        class_text: Tensor | None,
        concept_text: Tensor | None,
        val: Labeled | None,
    ) -> Support:
        projection = self._given[0]
        if class_text is None or class_text.shape[1:] != projection.shape[1:]:
            return super()._checked(support, labels, class_text, concept_text, val)
        # Texts are as wide as the projection's outputs, not as the support: taken back through it
        # they pass the checks of all heads.
        text = class_text if class_text.dtype == torch.float64 else class_text.float()
        back = text @ projection.to(text).T
        data = super()._checked(support, labels, back, concept_text, val)
        return replace(data, text=text.to(data.views))

    def _fit(self, data: Support) -> None:
        projection, bias = self._given
        self.text_ = data.class_text
        self.frozen_ = projection.to(self.text_)
        self.bias_ = torch.zeros_like(self.text_[0]) if bias is None else bias.to(self.text_)
        self.lr_ = self.lr
        if data.val is not None:
            features, labels = data.val

            def right(lr: float) -> int:
                self._train(data, lr)
                return int((self._logits(features).argmax(1) == labels).sum())

            self.lr_ = max(RATES, key=right)
        self._train(data, self.lr_)

    def _train(self, data: Support, lr: float) -> None:
        self.projection_ = self.frozen_.clone()
        pull = 1 / data.shots if self.pull is None else self.pull

        def loss(u: Tensor, rows: Tensor) -> Tensor:
            moved = (self.projection_ - self.frozen_).square().sum()
            return F.cross_entropy(self._projected_logits(u), data.labels[rows]) + pull * moved

        recipe = Recipe(self.epochs, None, lr, "adam", weight_decay=0.0)
        descend([self.projection_], loss, data.views, recipe, seed=self.seed)

    def _projected_logits(self, u: Tensor) -> Tensor:
        return self.scale * unit(u @ self.projection_ + self.bias_) @ self.text_.T

    def _logits(self, features: Tensor) -> Tensor:
        return self._projected_logits(features.to(self.text_))

    def new_logits(self, features: Tensor, class_text: Tensor) -> Tensor:
        """Return (n, D') logits of new classes: cosines with the tuned features."""
        u = self._suited(features).to(self.text_)
        x = unit(u @ self.projection_ + self.bias_)
        return self.scale * x @ unit(class_text).T.to(x)

    def _terms(self, feature: Tensor, label: int) -> list[Term]:
        u, text = feature.to(self.text_), self.text_[label]
        frozen = u @ self.frozen_ + self.bias_
        moved = u @ (self.projection_ - self.frozen_)
        scale = self.scale / (frozen + moved).norm()
        return [
            Term("text", float(scale * (frozen @ text)[0])),
            Term("network", float(scale * (moved @ text)[0])),
        ]

    @property
    def trainable_parameters(self) -> int:
        """w d."""
        return self.projection_.numel()
