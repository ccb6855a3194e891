"""TaskRes (Yu et al., CVPR 2023, arXiv 2211.10277): a learned residual on the class texts.

    logits = scale * x · normalize(t_k + a R_k)

with class texts t that are *not* made unit, R from 0 on, and a = 0.5 (1 on Flowers). Trained as
released: Adam 2e-3 (2e-4 from 1000 classes on, the value of its ImageNet runs), weight decay 5e-4,
batches of 256, 100 epochs up to 4 shots and 200 above, Dassl's schedule (its loader's `drop_last`
is a switch). The "enhanced base", a text projection tuned beforehand, is left out.

Validation data changes nothing: nothing is searched.

The learning rate fits texts as long as CLIP's text tower makes them. Texts given as unit rows are
therefore made 10 long.

When to use: a strong default of the literature that needs class texts and nothing else.

Relations: ZS-LP with a scaled residual; `ccli` learns one beside its network.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from trifocal.concepts.explanation import Term
from trifocal.concepts.head import Head
from trifocal.concepts.optimize import Recipe, descend
from trifocal.concepts.rows import long_text, queries
from trifocal.concepts.support import Support, unit

MANY_CLASSES = 1000


@dataclass(eq=False)
class TaskRes(Head):
    """TaskRes: a learned residual on the class texts, on the regular base.

    Attributes:
        residual_scale: The factor a of the residual.
        lr: Learning rate; None takes the released one.
        epochs: Passes over the support; None takes the released number.
        drop_last: Leave out the smaller batch at the end of an epoch, as the released code does
            (Dassl's loader). It matters from 257 pictures on.
    """

    residual_scale: float = 0.5
    lr: float | None = None
    epochs: int | None = None
    drop_last: bool = False

    def _fit(self, data: Support) -> None:
        assert data.text is not None
        self.text_ = long_text(data.text)
        self.residual_ = torch.zeros_like(self.text_)
        lr = self.lr or (2e-4 if data.classes >= MANY_CLASSES else 2e-3)
        epochs = self.epochs or (100 if data.shots <= 4 else 200)
        recipe = Recipe(
            epochs, 256, lr, "adam", 5e-4, eps=1e-8, schedule="dassl", drop_last=self.drop_last
        )

        def loss(x: Tensor, rows: Tensor) -> Tensor:
            return F.cross_entropy(self.scale * x @ self._classifier().T, data.labels[rows])

        descend([self.residual_], loss, unit(data.views), recipe, seed=self.seed)

    def _classifier(self) -> Tensor:
        return unit(self.text_ + self.residual_scale * self.residual_)

    def _logits(self, features: Tensor) -> Tensor:
        return self.scale * queries(features, self.text_) @ self._classifier().T

    def _terms(self, feature: Tensor, label: int) -> list[Term]:
        x, text = queries(feature, self.text_)[0], self.text_[label]
        residual = self.residual_scale * self.residual_[label]
        scale = self.scale / (text + residual).norm()
        return [Term("text", float(scale * x @ text)), Term("network", float(scale * x @ residual))]

    @property
    def trainable_parameters(self) -> int:
        """D d: a residual for each class."""
        return self.residual_.numel()
