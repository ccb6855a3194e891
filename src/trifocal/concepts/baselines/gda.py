"""GDA: Gaussian discriminant analysis beside CLIP (Wang et al., ICLR 2024, arXiv 2402.04087).

Class means μ and one shared precision, estimated on all views of the support:

    Λ = d ((n - 1) Σ + tr(Σ) I)⁻¹,    w_k = Λ μ_k,    b_k = log(1 / D) - ½ μ_kᵀ Λ μ_k
    logits = scale * x W + a (x·w_k + b_k)

with Σ the pooled covariance of the n features about their class means, over n - 1.

With validation data a is the best power of ten of `SCALES`, the first of the best. Without, from 3
shots on, it is chosen on held-out images, one of each class at a time, and everything is then
estimated again on all; below it is 0.01, because a precision estimated from two shots is large, and
1 would drown the texts.

One picture of a class, in one view, has no covariance; the released code's Λ is then 0, and GDA is
zero-shot CLIP. Here Λ is then the identity (nearest class mean), which works without texts, too.

Base-to-new (the released code's): a new class has the mean of its 64 nearest base features, found
by its text, and of 16 copies of the text; Λ is the mean of the precisions of the 64 features about
the text. The released code searches all views of the base; here each picture has its mean view.

When to use: from about four shots on, above all where class names say little: closed form, nothing
to train.

Relations: Gaussian classes of one covariance give a linear classifier; `concept_map` whitens in the
same way, and fits its weights to the labels instead.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from trifocal.concepts.explanation import Term
from trifocal.concepts.head import Head
from trifocal.concepts.rows import class_sums, queries
from trifocal.concepts.search import choose_scale, hold_out_one, search_scale
from trifocal.concepts.support import Support, unit

SCALES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)
FEW = 3  # shots from which on one can be held out: two are left to vary
HELD = 500  # images to hold out, in as many draws of one a class as that takes
NEIGHBORS, COPIES = 64, 16  # of a new class: base features, and times its text counts
_CLASSES = 16  # new classes worked on at a time


@dataclass(eq=False)
class GDA(Head):
    """Gaussian discriminant analysis.

    Attributes:
        weight: The factor a, where it is neither searched nor chosen on held-out images.
    """

    weight: float = 0.01

    wants_text: ClassVar[bool] = False
    searches: ClassVar[bool] = True

    def _fit(self, data: Support) -> None:
        self.text_, self.features_ = data.class_text, data.features
        rows, labels = unit(data.views), data.labels
        self.weight_ = self.weight
        if data.val is None and data.shots >= FEW:
            self.weight_ = self._chosen(rows, labels)
        self._estimate(rows, labels)
        if data.val is not None:
            base, branch = self._branches(unit(data.val[0]))
            self.weight_ = search_scale(base, branch, data.val[1], SCALES).alpha

    def _chosen(self, rows: Tensor, labels: Tensor) -> float:
        """Return the scale that is best on held-out images of several draws together."""
        base, branch, truth = [], [], []
        shots = int(torch.bincount(labels).min())
        for draw in range(min(shots, math.ceil(HELD / self.classes_))):
            kept, held = hold_out_one(labels, self.seed + draw)
            self._estimate(rows[kept], labels[kept])
            for part, logits in zip((base, branch), self._branches(self.features_[held])):
                part.append(logits)
            truth.append(labels[held])
        return choose_scale(torch.cat(base), torch.cat(branch), torch.cat(truth), SCALES)

    def _estimate(self, views: Tensor, labels: Tensor) -> None:
        """Set weights and biases from unit features (N, V, d)."""
        rows = views.flatten(0, 1)
        labels = labels.repeat_interleave(views.shape[1])
        counts = torch.bincount(labels, minlength=self.classes_).to(rows)
        means = class_sums(rows, labels, self.classes_) / counts[:, None]
        centered = rows - means[labels]
        scatter = centered.T @ centered  # (n - 1) Σ: the mean of `centered` is 0
        trace = scatter.trace() / max(1, len(rows) - 1)
        if float(trace) > 0:
            scatter.diagonal().add_(trace)
            weights = len(scatter) * torch.linalg.solve(scatter, means.T, left=True).T
        else:
            weights = means
        self.weights_, self.biases_ = weights, _biases(weights, means)

    def _branches(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits (n, D) of texts and of Gaussians for unit rows."""
        return self.scale * x @ self.text_.T, x @ self.weights_.T + self.biases_

    def _logits(self, features: Tensor) -> Tensor:
        base, branch = self._branches(queries(features, self.text_))
        return base + self.weight_ * branch

    def _terms(self, feature: Tensor, label: int) -> list[Term]:
        x = queries(feature, self.text_)[0]
        return [
            Term("text", float(self.scale * x @ self.text_[label])),
            Term("network", float(self.weight_ * x @ self.weights_[label])),
            Term("bias", float(self.weight_ * self.biases_[label])),
        ]

    def new_logits(self, features: Tensor, class_text: Tensor) -> Tensor:
        """Return (n, D') logits of new classes, whose Gaussians the base features stand in for."""
        x = queries(self._suited(features), self.text_)
        text = queries(class_text, self.text_)
        near = (text @ self.features_.T).topk(min(NEIGHBORS, len(self.features_))).indices
        count, width = near.shape[1], text.shape[1]
        means = self.features_[near].sum(1) + COPIES * text
        means /= count + COPIES
        precision = text.new_zeros(width, width)
        for classes in torch.arange(len(text), device=text.device).split(_CLASSES):
            about = self.features_[near[classes]] - text[classes, None]  # (c, 64, d)
            trace = about.square().sum((1, 2)) / max(1, count - 1)
            trace = trace.clamp(min=1e-12)[:, None, None]
            # (AᵀA + tr I)⁻¹ = (I - Aᵀ (A Aᵀ + tr I)⁻¹ A) / tr: 64 x 64 systems, not d x d.
            small = about @ about.mT
            small.diagonal(dim1=1, dim2=2).add_(trace[:, 0])
            solved = torch.linalg.solve(small, about)
            precision -= (about.mT @ (solved / trace)).sum(0)
            precision.diagonal().add_((1 / trace).sum())
        precision *= width / len(text)
        weights = means @ precision
        gaussian = x @ weights.T + _biases(weights, means)
        return self.scale * x @ text.T + self.weight_ * gaussian


def _biases(weights: Tensor, means: Tensor) -> Tensor:
    return -math.log(len(means)) - (weights * means).sum(1) / 2
