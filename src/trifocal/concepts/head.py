"""A head: a few-shot classifier on the features of a frozen CLIP.

What every head shares: it is fitted to support features and the texts of the classes, in seconds
on a CPU, and it has scikit-learn's manners (parameters in the constructor, `fit` returns self, what
was learned ends in an underscore). A new head is one file with a dataclass that has `_fit` and
`_logits`.

Notation: N support images of D classes, features of width d, I text concepts, V views a picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal, Self, get_origin, get_type_hints

import torch
from torch import Tensor

from trifocal import config
from trifocal.concepts.calibration import chances, doubt, familiarity, known_shares, temperature
from trifocal.concepts.explanation import Explanation, Term, shortened, without_concepts
from trifocal.concepts.support import Labeled, Support, checked_support, floating, unit
from trifocal.errors import UserError, nearest

MOST_KNOWN = 2000  # scores of held-out pictures that are kept; of more, every second, third, ...


class Fitted:
    """What was learned is in the attributes whose names end in an underscore."""

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return what was learned: tensors, and plain values, by attribute name."""
        learned = {k: v for k, v in vars(self).items() if k.endswith("_") and k[0] != "_"}
        tensors = {k: v for k, v in learned.items() if isinstance(v, Tensor)}
        return tensors, {k: v for k, v in learned.items() if k not in tensors}

    def load_state(self, tensors: dict[str, Tensor], values: dict[str, Any]) -> Self:
        """Take over what `state` returned; return self."""
        for name, value in {**tensors, **values}.items():
            setattr(self, name, value)
        return self


@dataclass(eq=False)
class Head(Fitted):
    """The base of all heads.

    Attributes:
        scale: What cosines with class texts are multiplied by: the backbone's logit scale.
        seed: Of whatever is drawn at random.
    """

    scale: float = 100.0
    seed: int = 0

    version: ClassVar[int] = 1  # raised whenever the head of this name would get another value
    wants_text: ClassVar[bool] = True  # cannot do without class texts
    reads_text: ClassVar[bool] = True  # gets other numbers by other class texts
    wants_support: ClassVar[bool] = True  # learns from the support's pictures
    wants_concepts: ClassVar[bool] = False  # cannot do without text concepts
    wants_projection: ClassVar[bool] = False  # works on features from before the projection
    searches: ClassVar[bool] = False  # has something to select where `val` is given

    # --- fitting --------------------------------------------------------------------------

    def fit(
        self,
        support: Tensor,
        labels: Tensor | Sequence[int],
        class_text: Tensor | None = None,
        concept_text: Tensor | None = None,
        val: Labeled | None = None,
    ) -> Self:
        """Fit to labeled features; return self.

        Args:
            support: (N, d), or (N, V, d) with several views of each picture.
            labels: (N,) integers 0..D-1; every class has a picture.
            class_text: (D, d) text features of the classes. Without them D is the largest label
                plus one, and there is no text branch.
            concept_text: (I, d) text features of the concepts.
            val: Features (n, d) and labels (n,) for selection; None selects nothing on them.

        Raises:
            UserError: the shapes do not fit, a class has no picture, something needed is missing, or
                a parameter has none of its values.
        """
        self._check_choices()
        data = self._checked(support, labels, class_text, concept_text, val)
        for name in [name for name in vars(self) if name[0] != "_" and name.endswith("_")]:
            delattr(self, name)  # of an earlier fit, perhaps with other parameters
        self.classes_, self.width_ = data.classes, data.views.shape[-1]
        self._fit(data)
        # Products round differently in another memory layout, and files keep one layout alone.
        for name, value in list(vars(self).items()):
            if isinstance(value, Tensor):
                setattr(self, name, value.contiguous())
        return self

    def _fit(self, data: Support) -> None:
        """Learn; set attributes that end in an underscore."""
        raise NotImplementedError

    # --- use ------------------------------------------------------------------------------

    def logits(self, features: Tensor) -> Tensor:
        """Return (n, D) logits of features (n, d).

        Raises:
            UserError: the head was not fitted, the width is another, or a logit is not finite.
        """
        logits = self._logits(self._suited(features))
        if not bool(logits.isfinite().all()):
            raise UserError(
                f"{type(self).__name__} gives logits that are not finite, since what it learned or "
                "the features are out of all proportion; fit it again."
            )
        return logits

    def _logits(self, features: Tensor) -> Tensor:
        """Return (n, D) logits of features (n, d), which may have any length."""
        raise NotImplementedError

    def predict(self, features: Tensor) -> Tensor:
        """Return the (n,) most likely classes."""
        return self.logits(features).argmax(1)

    def predict_proba(self, features: Tensor) -> Tensor:
        """Return (n, D) probabilities: calibrated ones, where `calibrate` has learned how."""
        return chances(self.logits(features), *self.certainty)

    @property
    def certainty(self) -> tuple[float, float]:
        """What logits are divided by, and the probability that is left to any class."""
        return getattr(self, "temperature_", 1.0), getattr(self, "doubt_", 0.0)

    def calibrate(self, logits: Tensor, labels: Tensor) -> Self:
        """Learn how sure answers may be; return self.

        Args:
            logits: (n, D) of pictures that this head, or one like it, was not fitted to.
            labels: (n,) their classes.
        """
        self.temperature_ = temperature(logits, labels)
        self.doubt_ = min(doubt(len(labels)), getattr(self, "doubt_", 1.0))
        scores = familiarity(logits).sort().values
        step = max(1, -(-len(scores) // MOST_KNOWN))
        self.known_ = scores[step // 2 :: step].contiguous()
        return self

    def known_shares(self, logits: Tensor) -> Tensor:
        """Return (n,) p-values: how many pictures of the known classes look as little like one.

        Among pictures of its classes a value of at most p is as rare as p, so "none of these" where
        it is at most 0.05 is wrong for one in twenty of them.

        Raises:
            UserError: the head was not calibrated.
        """
        if not hasattr(self, "known_"):
            raise UserError(
                f"this {type(self).__name__} has not been asked of pictures that it was not fitted "
                'to, so it cannot say "none of these"; fit it to two pictures a class at least, '
                "or hold some out."
            )
        return known_shares(familiarity(logits), self.known_)

    def new_logits(self, features: Tensor, class_text: Tensor) -> Tensor:
        """Return (n, D') logits of classes that were not in the support (base-to-new).

        Zero-shot CLIP, unless a head says otherwise.
        """
        return self.scale * unit(self._suited(features)) @ unit(class_text).T.to(features)

    def explain(
        self,
        features: Tensor,
        labels: Tensor | Sequence[int] | None = None,
        top: int = 10,
        among: Tensor | None = None,
    ) -> list[Explanation]:
        """Return, for each of n pictures, terms that add up to the logit of a class.

        Args:
            features: (n, d).
            labels: (n,) classes; by default the predicted ones.
            top: Most terms of one kind; what is left is summed into a term "rest".
            among: (n, I) bools, which concepts may be named (see `evidence`); by default any.
        """
        features = self._suited(features)
        logits = self._logits(features)
        chosen = logits.argmax(1) if labels is None else torch.as_tensor(labels)
        return [
            Explanation(
                int(label),
                float(logits[row, label]),
                shortened(
                    self._terms(features[row : row + 1], int(label))
                    if among is None
                    else self._terms_among(features[row : row + 1], int(label), among[row]),
                    top,
                ),
            )
            for row, label in enumerate(chosen)
        ]

    def _terms(self, feature: Tensor, label: int) -> list[Term]:
        """Return the summands of one picture's (1, d) logit for a class."""
        return [Term("rest", float(self._logits(feature)[0, label]))]

    def _terms_among(self, feature: Tensor, label: int, among: Tensor) -> list[Term]:
        """Return the same without concepts that may not be named, whose terms are left as "rest"."""
        return without_concepts(self._terms(feature, label), among)

    # --- scikit-learn's manners -----------------------------------------------------------

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the constructor's parameters."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def set_params(self, **params: Any) -> Self:
        """Set constructor parameters; return self.

        Raises:
            UserError: the head has no such parameter.
        """
        known = {field.name for field in fields(self)}
        for name, value in params.items():
            if name not in known:
                raise UserError(
                    f"{type(self).__name__} has no parameter {name!r}.{nearest(name, known)} "
                    f"It has: {', '.join(sorted(known))}."
                )
            setattr(self, name, value)
        return self

    @property
    def trainable_parameters(self) -> int:
        """How many numbers were learned by gradient steps; 0 for closed forms."""
        return 0

    # --- checks ---------------------------------------------------------------------------

    def _check_choices(self) -> None:
        for name, hint in get_type_hints(type(self)).items():
            if get_origin(hint) is Literal:
                config.convert(getattr(self, name), hint, name)

    def _suited(self, features: Tensor) -> Tensor:
        name = type(self).__name__
        if not hasattr(self, "width_"):
            raise UserError(f"this {name} is not fitted yet; call fit first.")
        features = floating(features, "features")
        if features.ndim != 2 or features.shape[1] != self.width_:
            raise UserError(
                f"{name} was fitted to features of width {self.width_}, but these have shape "
                f"{tuple(features.shape)}; embed them with the same backbone."
            )
        return features

    def _checked(
        self,
        support: Tensor,
        labels: Tensor | Sequence[int],
        class_text: Tensor | None,
        concept_text: Tensor | None,
        val: Labeled | None,
    ) -> Support:
        for name, given, wanted in (
            ("class_text", class_text, self.wants_text),
            ("concept_text", concept_text, self.wants_concepts),
        ):
            if given is None and wanted:
                raise UserError(f"{type(self).__name__} needs {name}; give it to fit.")
        return checked_support(support, labels, class_text, concept_text, val)
