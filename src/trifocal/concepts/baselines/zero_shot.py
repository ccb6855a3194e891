"""Zero-shot CLIP: cosines with the texts of the classes (Radford et al., ICML 2021, arXiv 2103.00020).

logits = scale * x W. Nothing is learned from the support; it is what every head must beat.

When to use: always: it is free.

Relations: the text branch of all other heads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from trifocal.concepts.explanation import Term
from trifocal.concepts.head import Head
from trifocal.concepts.rows import queries
from trifocal.concepts.support import Support


@dataclass(eq=False)
class ZeroShot(Head):
    """Zero-shot CLIP. Validation data changes nothing."""

    wants_support: ClassVar[bool] = False

    def _fit(self, data: Support) -> None:
        self.text_ = data.class_text

    def _logits(self, features: Tensor) -> Tensor:
        return self.scale * queries(features, self.text_) @ self.text_.T

    def _terms(self, feature: Tensor, label: int) -> list[Term]:
        return [Term("text", float(self._logits(feature)[0, label]))]
