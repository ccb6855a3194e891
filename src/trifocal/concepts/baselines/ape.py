"""APE and APE-T (Zhu et al., ICCV 2023, arXiv 2304.01195): a cache on the channels that tell apart.

Channels are chosen by J_c = -w0 Sim_c + w1 Var_c: Sim is the mean product of a channel over pairs
of different classes, Var the variance of the class texts in it. On the Q best channels, made unit
again (~):

    logits = scale * x W + alpha * exp(-beta (1 - x~ V~ᵀ)) diag(exp(gamma KL)) Y

KL is the divergence, in bits, of an image's label from softmax(v~ W~), without a temperature. APE-T
trains one residual a class on the channels, added to the class's text and keys, and a weight for
each image:

    logits = scale * x W' + alpha * exp(-beta (1 - x V'ᵀ)) diag(weight) Y

on all channels, not made unit again (AdamW, eps 1e-3, weight decay 0.1, batches of 256).

With validation data gamma, beta and alpha (for APE-T beta and alpha) are the best of a grid, gamma
outermost. Without, they stay what they were given as, by default the start values of the released
ImageNet configuration, as are w and Q, scaled from its 1024 channels to the features' width.

The released code searches with gamma innermost, which matters for ties only, and picks APE-T's
epoch on validation data (here: the last one). Published numbers use GPT-3 texts.

When to use: few shots with good class texts, where a few hundred channels carry what matters; APE-T
where seconds of training are affordable.

Relations: Tip-Adapter on selected channels, with a weight for each key; APE-T has TaskRes's
residual, shared by texts and keys.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from trifocal.concepts.explanation import Term, image_terms
from trifocal.concepts.head import Head
from trifocal.concepts.optimize import Recipe, descend
from trifocal.concepts.rows import class_sums, in_blocks, queries
from trifocal.concepts.search import Found, TipGrid, search_alpha_beta
from trifocal.concepts.support import Labeled, Support, unit

MANY_CLASSES = 1000
_TINY = 1e-6  # inside the logarithms


def similarity(features: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Return the (d,) mean product of each channel over ordered pairs of different classes.

    Features are (n, d), texts, images or both, with labels (n,) of two or more classes.
    """
    sums = class_sums(features, labels, classes)
    counts = torch.bincount(labels, minlength=classes).to(features)
    pairs = counts.sum().square() - counts.square().sum()
    return (sums.sum(0).square() - sums.square().sum(0)) / pairs.clamp(min=1)


def criterion(text: Tensor, similar: Tensor, weights: tuple[float, float]) -> Tensor:
    """Return J (d,) of unit class texts (D, d); high is good."""
    variance = text.var(0) if len(text) > 1 else torch.zeros_like(similar)
    return weights[1] * variance - weights[0] * similar


def divergence(keys: Tensor, labels: Tensor, text: Tensor) -> Tensor:
    """Return (N,) bits between an image's label and what its cosines with the texts say of it."""
    own = (keys @ text.T).softmax(1).gather(1, labels[:, None])[:, 0]
    return torch.log2((1 + _TINY) / (own + _TINY))


@dataclass(eq=False)
class APE(Head):
    """APE, training-free.

    Attributes:
        alpha, beta, gamma: Where they are not searched.
        alpha_max, beta_max, gamma_max: Ends of their grids (20, 200 and `gamma_steps` values).
        gamma_steps: Gammas that are tried, from 0 on.
        channels: Q; None takes `SHARE` of them.
        similar_weight, variance_weight: w0 and w1.
    """

    alpha: float = 2.0
    beta: float = 1.0
    gamma: float = 0.1
    alpha_max: float = 7.0
    beta_max: float = 7.0
    gamma_max: float = 0.5
    gamma_steps: int = 5
    channels: int | None = None
    similar_weight: float = 0.7
    variance_weight: float = 0.3

    searches: ClassVar[bool] = True
    SHARE: ClassVar[float] = 500 / 1024

    def _fit(self, data: Support) -> None:
        self.text_, self.labels_ = data.class_text, data.labels
        classes = torch.arange(data.classes, device=self.labels_.device)
        similar = similarity(
            torch.cat([self.text_, data.features]), torch.cat([classes, self.labels_]), data.classes
        )
        self.channels_ = self._chosen(similar)
        self.keys_ = unit(data.features[:, self.channels_])
        bits = divergence(self.keys_, self.labels_, unit(self.text_[:, self.channels_]))
        self.alpha_, self.beta_, gamma = self.alpha, self.beta, self.gamma
        if data.val is not None:
            found, gamma = self._search(data.val, bits)
            self.alpha_, self.beta_ = found.alpha, found.beta
        self.weights_ = (gamma * bits).exp()

    def _chosen(self, similar: Tensor) -> Tensor:
        weights = (self.similar_weight, self.variance_weight)
        width = len(similar)
        count = self.channels or round(self.SHARE * width)
        return criterion(self.text_, similar, weights).topk(min(max(1, count), width)).indices

    def _search(self, val: Labeled, bits: Tensor) -> tuple[Found, float]:
        gammas = [i * self.gamma_max / self.gamma_steps for i in range(self.gamma_steps)]
        tried = [self._best(val, (gamma * bits).exp()) for gamma in gammas]
        place = max(range(len(tried)), key=lambda i: tried[i].accuracy)
        return tried[place], gammas[place]

    def _best(self, val: Labeled, weights: Tensor) -> Found:
        grid = TipGrid(self.beta_max, self.alpha_max, self.alpha, self.beta)
        x = unit(val[0])
        base, affinity = self.scale * x @ self.text_.T, self._affinity(x).T
        return search_alpha_beta(
            base, affinity, self.labels_, val[1], grid.alphas, grid.betas, weights
        )

    def _affinity(self, x: Tensor) -> Tensor:
        """Return (N, n) for unit rows."""
        return self.keys_ @ unit(x[:, self.channels_]).T

    def _cached(self, x: Tensor, alpha: float, beta: float) -> Tensor:
        values = (-beta * (1 - self._affinity(x))).exp() * self.weights_[:, None]
        cache = class_sums(values, self.labels_, self.classes_)
        return self.scale * x @ self.text_.T + alpha * cache.T

    def _logits(self, features: Tensor) -> Tensor:
        return in_blocks(
            lambda x: self._cached(x, self.alpha_, self.beta_),
            queries(features, self.keys_),
            len(self.keys_),
        )

    def _terms(self, feature: Tensor, label: int) -> list[Term]:
        x = queries(feature, self.keys_)
        images = (self.labels_ == label).nonzero().flatten()
        cosines = self._affinity(x)[images, 0]
        values = self.alpha_ * (-self.beta_ * (1 - cosines)).exp() * self.weights_[images]
        text = Term("text", float(self.scale * x[0] @ self.text_[label]))
        return [text, *image_terms(values, cosines, images)]


@dataclass(eq=False)
class APET(APE):
    """APE-T: residuals on the channels, and weights of the images, are trained.

    Attributes:
        lr: Learning rate; None takes the released one, 1e-3, or 1e-4 from 1000 classes on.
        epochs: Passes over the support.
    """

    similar_weight: float = 0.2
    variance_weight: float = 0.8
    lr: float | None = None
    epochs: int = 30

    SHARE: ClassVar[float] = 900 / 1024

    def _fit(self, data: Support) -> None:
        text, keys, labels = data.class_text, data.features, data.labels
        self.text_, self.labels_ = text, labels
        classes = torch.arange(data.classes, device=labels.device)
        self.channels_ = self._chosen(similarity(text, classes, data.classes))
        self.residual_ = text.new_zeros(data.classes, len(self.channels_))
        self.weights_ = torch.ones_like(keys[:, 0])

        def apply() -> None:
            offset = torch.zeros_like(text).index_add(1, self.channels_, self.residual_)
            self.text_, self.keys_ = text + offset, keys + offset[labels]

        def loss(x: Tensor, rows: Tensor) -> Tensor:
            apply()
            return F.cross_entropy(self._cached(x, self.alpha, self.beta), labels[rows])

        lr = self.lr or (1e-4 if data.classes >= MANY_CLASSES else 1e-3)
        recipe = Recipe(self.epochs, lr=lr, weight_decay=0.1, eps=1e-3)
        views = unit(data.views)
        descend([self.residual_, self.weights_], loss, views, recipe, seed=self.seed)
        apply()
        self.alpha_, self.beta_ = self.alpha, self.beta
        if data.val is not None:
            found = self._best(data.val, self.weights_)
            self.alpha_, self.beta_ = found.alpha, found.beta

    def _affinity(self, x: Tensor) -> Tensor:
        return self.keys_ @ x.T

    @property
    def trainable_parameters(self) -> int:
        """Q D + N."""
        return self.residual_.numel() + self.weights_.numel()
