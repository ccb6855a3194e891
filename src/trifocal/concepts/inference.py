"""Concept inference: from what concepts tell of a picture to classes.

CCLI learns such a network on its concept representation (arXiv 2307.15460). Here it is an object
with the few members below; `posterior` and `association` have one each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from trifocal.concepts.explanation import Term
from trifocal.concepts.support import Labeled, Support


@dataclass(frozen=True)
class ConceptBasis:
    """Concepts of a support set, as an inference is given them.

    Attributes:
        features: (I, d) unit rows, what a picture is compared with; None for the control that
            works on raw features.
        association: (I, D) with the classes.
        images: (I, T) support images behind each.
        grounding: (I,) how well they fit its name.
    """

    features: Tensor | None
    association: Tensor
    images: Tensor
    grounding: Tensor

    def term(self, index: int, value: float, score: float) -> Term:
        """Return a concept's summand of a logit."""
        images = tuple(self.images[index].tolist())
        return Term("concept", value, index, score, images, float(self.grounding[index]))


class Inference(Protocol):
    """Learns classes from concepts."""

    def fit(
        self,
        data: Support,
        basis: ConceptBasis,
        judged: Labeled | None = None,
        chosen: dict[str, float] | None = None,
    ) -> None:
        """Learn from the support.

        Args:
            data: The support.
            basis: Its concepts.
            judged: Other pictures and their classes, to select settings by.
            chosen: Settings selected before, instead.
        """
        ...

    def try_out(self, data: Support, basis: ConceptBasis, held: Labeled) -> dict[str, float]:
        """Return the settings that do best on held-out support images, fitted to the others."""
        ...

    @property
    def chosen(self) -> dict[str, float]:
        """Settings in use that can be selected."""
        ...

    @property
    def trainable_parameters(self) -> int:
        """How many numbers were learned by gradient steps."""
        ...

    def logits(self, x: Tensor) -> Tensor:
        """Return (n, D) logits of unit features (n, d), text branch included."""
        ...

    def terms(self, x: Tensor, label: int, basis: ConceptBasis) -> list[Term]:
        """Return summands of the logit of one picture (1, d)."""
        ...

    def new_logits(self, x: Tensor, class_text: Tensor, text_concepts: Tensor) -> Tensor:
        """Return (n, D') logits of new classes, given their unit texts (D', d)."""
        ...

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return what was learned."""
        ...

    def load_state(self, tensors: dict[str, Tensor], values: dict[str, Any]) -> Any:
        """Take over what `state` returned."""
        ...
