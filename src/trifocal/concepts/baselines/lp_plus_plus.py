"""LP++ (Huang et al., CVPR 2024, arXiv 2404.02285): a linear probe blended with the class texts.

    logits = x · (w_k + a_k t_k)

w starts from the *sum* of the class's features, every a from 250 times the mean over classes of the
mean cosine with the own text. Both take steps whose lengths follow from the loss, so that there is
no learning rate:

    w: gradient descent with momentum 0.9 and step 4 n / λ_max(VᵀV), at every one of 300 epochs
    a: every 10 epochs a step of n / (4 max_k Σ_i (v_i·t_k)²)

With validation data the epoch is the best on it, the last of the best as released; without, the
last. There is nothing else to select.

Quirks of the released code: it never zeroes the gradient of a, so that the step of epoch 10 j is
along the sum of *all* gradients so far. Here the gradient is that of the current epoch, as in the
paper; `accumulate` does as released. It also learns a bias, which the paper has not; nor has this.

When to use: where nothing may be tuned: its steps follow from the data.

Relations: a linear probe plus learned weights of the class texts, where Tip-Adapter has one for
all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from trifocal.concepts.explanation import Term
from trifocal.concepts.head import Head
from trifocal.concepts.rows import class_sums, queries
from trifocal.concepts.support import Support
from trifocal.errors import UserError

MOMENTUM = 0.9
EVERY = 10  # epochs between steps of a
INITIAL = 250.0


@dataclass(frozen=True)
class Start:
    """What LP++ starts from.

    Attributes:
        weights: (D, d) w.
        blend: a, the same for each class.
        weight_step, blend_step: Lengths of their steps.
    """

    weights: Tensor
    blend: float
    weight_step: float
    blend_step: float


def starting_point(features: Tensor, labels: Tensor, text: Tensor) -> Start:
    """Return start values and step lengths for unit rows (N, d), labels (N,), unit texts (D, d)."""
    count, classes = len(features), len(text)
    cosines = features @ text.T
    own = cosines.gather(1, labels[:, None])
    counts = torch.bincount(labels, minlength=classes).to(features)
    # The eigenvalues of VᵀV are those of VVᵀ, of which the smaller is enough.
    gram = features.T @ features if count > features.shape[1] else features @ features.T
    return Start(
        class_sums(features, labels, classes),
        float(INITIAL * (class_sums(own, labels, classes)[:, 0] / counts).mean()),
        float(4 * count / torch.linalg.eigvalsh(gram)[-1]),
        float(count / (4 * cosines.square().sum(0).max())),
    )


@dataclass(eq=False)
class LPPlusPlus(Head):
    """LP++.

    Attributes:
        epochs: Full-batch steps.
        accumulate: Never zero the gradient of the blend, as the released code.
    """

    epochs: int = 300
    accumulate: bool = False

    searches: ClassVar[bool] = True

    def _fit(self, data: Support) -> None:
        x, labels, self.text_ = data.features, data.labels, data.class_text
        start = starting_point(x, labels, self.text_)
        self.weights_ = start.weights
        self.blend_ = torch.full_like(self.text_[:, 0], start.blend)
        cosines = x @ self.text_.T
        momentum, blend_gradient = torch.zeros_like(self.weights_), torch.zeros_like(self.blend_)
        rows = torch.arange(len(x), device=x.device)
        best, kept = -1, (self.weights_, self.blend_)
        for epoch in range(self.epochs):
            logits = torch.addcmul(x @ self.weights_.T, cosines, self.blend_)
            gradient = logits.softmax(1)
            gradient[rows, labels] -= 1
            gradient /= len(x)
            momentum.mul_(MOMENTUM).addmm_(gradient.T, x)
            self.weights_ = self.weights_ - start.weight_step * momentum
            now = (gradient * cosines).sum(0)
            blend_gradient = blend_gradient + now if self.accumulate else now
            if (epoch + 1) % EVERY == 0:
                self.blend_ = self.blend_ - start.blend_step * blend_gradient
            if data.val is not None:
                right = int((self._logits(data.val[0]).argmax(1) == data.val[1]).sum())
                if right >= best:
                    best, kept = right, (self.weights_, self.blend_)
        if data.val is not None:
            self.weights_, self.blend_ = kept
        if not bool(self.weights_.isfinite().all()):
            raise UserError("LP++ did not stay finite; look for odd features in the support.")

    def _logits(self, features: Tensor) -> Tensor:
        x = queries(features, self.text_)
        return x @ (self.weights_ + self.blend_[:, None] * self.text_).T

    def _terms(self, feature: Tensor, label: int) -> list[Term]:
        x = queries(feature, self.text_)[0]
        return [
            Term("text", float(self.blend_[label] * (x @ self.text_[label]))),
            Term("network", float(x @ self.weights_[label])),
        ]

    @property
    def trainable_parameters(self) -> int:
        """D d + D."""
        return self.weights_.numel() + self.blend_.numel()
