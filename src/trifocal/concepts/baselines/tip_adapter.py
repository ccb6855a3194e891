"""Tip-Adapter and Tip-Adapter-F (Zhang et al., ECCV 2022, arXiv 2207.09519, equations 3-6).

The support is a cache: its unit features are keys V, its labels values Y.

    logits = scale * x W + alpha * exp(-beta (1 - x Vᵀ)) Y

Tip-Adapter computes this; Tip-Adapter-F then trains the keys by cross-entropy (AdamW 1e-3, eps
1e-4, batches of 256, 20 epochs, cosine to 0).

With validation data alpha and beta are the best of the released grid (200 betas up to `beta_max`,
20 alphas up to `alpha_max`), for Tip-Adapter-F after training. Without, they stay what they were
given as: by default 1.17 and 5.5, the values of the paper; `search.TIP_GRIDS` has those of the
released configurations, by data set.

Quirks of the released code: it picks the epoch by *test* accuracy (here: the last one); trained
keys are not made unit again (here neither); its start value of beta is 1.

When to use: Tip-Adapter without any training; Tip-Adapter-F as what others are compared with.

Relations: a kernel classifier on the support beside zero-shot CLIP; ProKeR solves for its values,
APE selects its channels, `ccli` with `head="tf"` has visual concepts in the place of support
images.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn import functional as F

from trifocal.concepts.explanation import Term, image_terms
from trifocal.concepts.head import Head
from trifocal.concepts.optimize import Recipe, descend
from trifocal.concepts.rows import class_sums, in_blocks, queries
from trifocal.concepts.search import TipGrid, search_alpha_beta
from trifocal.concepts.support import Labeled, Support, unit


@dataclass(eq=False)
class TipAdapter(Head):
    """Tip-Adapter: a cache of the support images beside the class texts.

    Attributes:
        alpha: How much the cache counts, where it is not searched.
        beta: How sharp it is, where it is not searched.
        alpha_max, beta_max: Ends of the grids that are searched on validation data.
    """

    alpha: float = 1.17
    beta: float = 5.5
    alpha_max: float = 3.0
    beta_max: float = 7.0

    wants_text: ClassVar[bool] = False
    searches: ClassVar[bool] = True

    def _fit(self, data: Support) -> None:
        self.text_ = data.class_text
        self.keys_, self.labels_ = data.features, data.labels
        self._select(data.val)

    def _select(self, val: Labeled | None) -> None:
        self.alpha_, self.beta_ = self.alpha, self.beta
        if val is None:
            return
        grid = TipGrid(self.beta_max, self.alpha_max, self.alpha, self.beta)
        x = unit(val[0])
        found = search_alpha_beta(
            self.scale * x @ self.text_.T,
            x @ self.keys_.T,
            self.labels_,
            val[1],
            grid.alphas,
            grid.betas,
        )
        self.alpha_, self.beta_ = found.alpha, found.beta

    def _cached(self, x: Tensor, alpha: float, beta: float) -> Tensor:
        """Return (n, D) logits of unit rows."""
        affinity = self.keys_ @ x.T  # (N, n): support images are summed by rows
        cache = class_sums((-beta * (1 - affinity)).exp(), self.labels_, self.classes_)
        return self.scale * x @ self.text_.T + alpha * cache.T

    def _logits(self, features: Tensor) -> Tensor:
        return in_blocks(
            lambda x: self._cached(x, self.alpha_, self.beta_),
            queries(features, self.keys_),
            len(self.keys_),
        )

    def _terms(self, feature: Tensor, label: int) -> list[Term]:
        x = queries(feature, self.keys_)[0]
        images = (self.labels_ == label).nonzero().flatten()
        cosines = self.keys_[images] @ x
        values = self.alpha_ * (-self.beta_ * (1 - cosines)).exp()
        text = Term("text", float(self.scale * x @ self.text_[label]))
        return [text, *image_terms(values, cosines, images)]


@dataclass(eq=False)
class TipAdapterF(TipAdapter):
    """Tip-Adapter-F: the keys are trained.

    Attributes:
        lr: Learning rate.
        epochs: Passes over the support; the released EuroSAT configuration has 100.
        batch: Images of a step.
    """

    lr: float = 1e-3
    epochs: int = 20
    batch: int = 256

    def _fit(self, data: Support) -> None:
        self.text_ = data.class_text
        self.keys_, self.labels_ = data.features.clone(), data.labels

        def loss(x: Tensor, rows: Tensor) -> Tensor:
            logits = self._cached(x, self.alpha, self.beta)
            return F.cross_entropy(logits, self.labels_[rows])

        recipe = Recipe(self.epochs, self.batch, self.lr)
        descend([self.keys_], loss, unit(data.views), recipe, seed=self.seed)
        self._select(data.val)

    @property
    def trainable_parameters(self) -> int:
        """N d: a key for each support image."""
        return self.keys_.numel()
