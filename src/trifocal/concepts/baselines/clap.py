"""ZS-LP and CLAP (Silva-Rodríguez et al., CVPR 2024, arXiv 2312.12730): a cosine classifier that
starts from the class texts, and is held near them.

    logits = scale * cos(x, w_k)
    CLAP's loss: cross-entropy + mean over k of λ_k ‖w_k - t_k‖²

λ_k is the mean probability that zero-shot CLIP gives class k on its own support. SGD 0.1, momentum
0.9, no weight decay, batches of 256, 300 epochs, Dassl's schedule. Both are validation-free:
validation data changes nothing.

λ stays fixed, as in the released "l2" variant; the outer augmented-Lagrangian step that exists
behind "adaptative" is left out. Quirk of the released code: its bank of 20 views is shuffled each
epoch, but only the first n / 256 batches are visited; here an epoch visits each picture once, in
one of its views.

w and t are not made unit, so that the penalty's weight depends on their length: texts given as unit
rows are made 10 long.

When to use: without any validation data; ZS-LP where class texts are poor and shots are many.

Relations: a linear probe that starts from the texts, as TaskRes does without its residual's scale;
CLAP's pull is what the prior is in `concept_map`, with one strength a class.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from trifocal.concepts.explanation import Term
from trifocal.concepts.head import Head
from trifocal.concepts.optimize import Recipe, descend
from trifocal.concepts.rows import class_sums, long_text, queries
from trifocal.concepts.support import Support, unit


@dataclass(eq=False)
class ZSLP(Head):
    """ZS-LP: a cosine classifier that starts from the class texts.

    Attributes:
        lr: Learning rate.
        epochs: Passes over the support.
        drop_last: Leave out the smaller batch at the end of an epoch, as the released code does
            (it counts the batches of Dassl's loader). It matters from 257 pictures on.
    """

    lr: float = 0.1
    epochs: int = 300
    drop_last: bool = False

    def _fit(self, data: Support) -> None:
        assert data.text is not None
        self.text_ = long_text(data.text)
        self.classifier_ = self.text_.clone()
        views = unit(data.views)
        factors = self._multipliers(views, data)
        recipe = Recipe(
            self.epochs, 256, self.lr, "sgd", 0.0, schedule="dassl", drop_last=self.drop_last
        )

        def loss(x: Tensor, rows: Tensor) -> Tensor:
            logits = self.scale * x @ unit(self.classifier_).T
            value = F.cross_entropy(logits, data.labels[rows])
            if factors is not None:
                value = value + penalty(self.classifier_ - self.text_, factors)
            return value

        descend([self.classifier_], loss, views, recipe, seed=self.seed)

    def _multipliers(self, views: Tensor, data: Support) -> Tensor | None:
        """Return the (D,) weights of the penalty, None for none."""
        return None

    def _logits(self, features: Tensor) -> Tensor:
        return self.scale * queries(features, self.text_) @ unit(self.classifier_).T

    def _terms(self, feature: Tensor, label: int) -> list[Term]:
        x = queries(feature, self.text_)[0]
        text, learned = self.text_[label], self.classifier_[label]
        scale = self.scale / learned.norm()
        return [
            Term("text", float(scale * x @ text)),
            Term("network", float(scale * x @ (learned - text))),
        ]

    @property
    def trainable_parameters(self) -> int:
        """D d."""
        return self.classifier_.numel()


@dataclass(eq=False)
class CLAP(ZSLP):
    """CLAP: ZS-LP with a class-wise penalty on leaving the texts."""

    def _multipliers(self, views: Tensor, data: Support) -> Tensor | None:
        return multipliers(views, data.labels, data.class_text, self.scale)


def multipliers(views: Tensor, labels: Tensor, text: Tensor, scale: float) -> Tensor:
    """Return the (D,) mean probabilities that zero-shot CLIP gives classes on their own support.

    Views (N, V, d) and texts (D, d) are unit rows, labels (N,); `scale` multiplies cosines.
    """
    own = [(scale * x @ text.T).softmax(1).gather(1, labels[:, None]) for x in views.unbind(1)]
    counts = torch.bincount(labels, minlength=len(text)).to(text)
    return class_sums(torch.stack(own).mean(0), labels, len(text))[:, 0] / counts


def penalty(offsets: Tensor, multipliers: Tensor) -> Tensor:
    """Return the mean over classes of λ_k ‖offset_k‖², for offsets (D, d)."""
    return (multipliers * offsets.square().sum(1)).mean()
