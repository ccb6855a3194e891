"""CLIP-Adapter (Gao et al., IJCV 2024, arXiv 2110.04544): a bottleneck on image features.

    x' = normalize(r relu(relu(x0 A1) A2) + (1 - r) x0),    logits = scale * x' W

on features x0 that are not made unit, with a bottleneck of d / 4, no biases, and a ReLU after
*both* layers. Because nothing has a bias, x' does not depend on the length of x0.

With validation data the ratio r is chosen among `RATIOS` by training with each, the lowest of the
best; without it is 0.2, as released. The released code trains with Dassl's defaults; here the
recipe is Tip-Adapter-F's, with `lr` and `epochs` of one's choice.

When to use: as a baseline of the literature; most heads are ahead of it at few shots.

Relations: TaskRes moves the texts where this moves the image; `ccli` with `head="clip_adapter"`
moves it by concept scores.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from trifocal.concepts.explanation import Term
from trifocal.concepts.head import Head
from trifocal.concepts.optimize import Recipe, descend
from trifocal.concepts.support import Support, unit

RATIOS = (0.2, 0.4, 0.6, 0.8)


@dataclass(eq=False)
class CLIPAdapter(Head):
    """CLIP-Adapter's image branch.

    Attributes:
        ratio: How much the adapter counts, where it is not chosen on validation data.
        reduction: Width of the features over that of the bottleneck.
        lr: Learning rate.
        epochs: Passes over the support.
    """

    ratio: float = 0.2
    reduction: int = 4
    lr: float = 1e-3
    epochs: int = 20

    searches: ClassVar[bool] = True

    def _fit(self, data: Support) -> None:
        self.text_, self.ratio_ = data.class_text, self.ratio
        if data.val is not None:
            features, labels = data.val

            def right(ratio: float) -> int:
                self._train(data, ratio)
                return int((self._logits(features).argmax(1) == labels).sum())

            self.ratio_ = max(RATIOS, key=right)
        self._train(data, self.ratio_)

    def _train(self, data: Support, ratio: float) -> None:
        self.ratio_ = ratio
        width = data.views.shape[-1]
        hidden = max(1, width // self.reduction)
        generator = torch.Generator().manual_seed(self.seed)
        self.down_ = _initial(width, hidden, generator, data.views)
        self.up_ = _initial(hidden, width, generator, data.views)

        def loss(x: Tensor, rows: Tensor) -> Tensor:
            return F.cross_entropy(self._adapted_logits(x), data.labels[rows])

        recipe = Recipe(self.epochs, lr=self.lr)
        descend([self.down_, self.up_], loss, data.views, recipe, seed=self.seed)

    def _mixed(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the adapter and what the features add to x', before it is made unit."""
        adapted = ((x @ self.down_).relu() @ self.up_).relu()
        return self.ratio_ * adapted, (1 - self.ratio_) * x

    def _adapted_logits(self, x: Tensor) -> Tensor:
        adapted, kept = self._mixed(x)
        return self.scale * unit(adapted + kept) @ self.text_.T

    def _logits(self, features: Tensor) -> Tensor:
        return self._adapted_logits(features.to(self.text_))

    def _terms(self, feature: Tensor, label: int) -> list[Term]:
        adapted, kept = self._mixed(feature.to(self.text_))
        scale = self.scale / (adapted + kept).norm()
        text = self.text_[label]
        return [
            Term("text", float(scale * (kept @ text)[0])),
            Term("network", float(scale * (adapted @ text)[0])),
        ]

    @property
    def trainable_parameters(self) -> int:
        """2 d d / 4."""
        return self.down_.numel() + self.up_.numel()


def _initial(rows: int, columns: int, generator: torch.Generator, like: Tensor) -> Tensor:
    """Return a matrix as torch's linear layers start: uniform up to 1 / sqrt(rows)."""
    bound = 1 / math.sqrt(rows)
    values = torch.empty(rows, columns, dtype=torch.float64)
    return values.uniform_(-bound, bound, generator=generator).to(like)
