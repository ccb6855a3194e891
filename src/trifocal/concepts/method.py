"""CCLI: which class, from a handful of photos, and because of which concepts.

A re-implementation in the spirit of Cross-Modal Concept Learning and Inference (Zhang et al., arXiv
2307.15460), whose details are not published to us: text concepts find visual concepts among the
support images (`discovery`), a picture is represented by its scores for them, and a concept
inference learns classes from that. Each gap is a parameter.

`head="map"`, the default, is what validation chose (docs/concepts.md): logistic regression in the
concept space with zero-shot CLIP as its prior (`space`, `posterior`). The others read the abstract
more literally (`association`): `tf` (training-free), `linear`, `full` (network and class residual),
`mlp_plain`, `clip_adapter`.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

from torch import Tensor

from trifocal.concepts.association import AssociationInference, AssociationSettings
from trifocal.concepts.baselines.common import queries
from trifocal.concepts.discovery import complaint, describe, discover_visual_concepts, reconstruct
from trifocal.concepts.explanation import Term
from trifocal.concepts.head import Head
from trifocal.concepts.inference import ConceptBasis, Inference
from trifocal.concepts.optimize import Recipe
from trifocal.concepts.posterior import PosteriorInference
from trifocal.concepts.scores import Score
from trifocal.concepts.search import hold_out_one
from trifocal.concepts.support import Labeled, Support, unit
from trifocal.errors import UserError, nearest

logger = logging.getLogger(__name__)

HEADS = ("map", "tf", "linear", "full", "mlp_plain", "clip_adapter")
VISUAL = ("reconstruct", "mean", "text", "raw")
PROFILES = {"recommended": "map", "paper": "full"}
MAX_TOP = 8


@dataclass(eq=False)
class CCLI(Head):
    """Concept learning and inference on the features of a frozen CLIP.

    What `fit` selects: with validation data the penalty (`map`), alpha and beta (`tf`), or alpha
    (the others, after training; nothing for `clip_adapter`, which has none). Without, one support
    image of each class is held out to select the penalty, or alpha and beta of the training-free
    head (`tf`, `linear`, `full`), and then all are fitted. With one image a class nothing is.

    Attributes:
        head: "map", "tf", "linear", "full", "mlp_plain" or "clip_adapter"; None is the profile's.
        profile: Where unset parameters come from. "recommended": head map, de-biased images,
            column masses, class residual. "paper": head full, and none of these three, which no
            published source mentions. Neither is a reproduction.
        visual: What a concept is in image space: "reconstruct" (a weighted sum of all support
            images; None for `map`), "mean" (of the retrieved images; None for the others), and two
            controls: "text" (the text concept itself), "raw" (no concepts: the feature's own axes).
        top: T, images a concept retrieves; None is the number of shots, 8 at most.
        debias: See `discover_visual_concepts`; None is the profile's.
        smoothing: See `discover_visual_concepts`.
        column_mass: See `discover_visual_concepts`; None is the profile's.
        ridge: Penalty of the reconstruction, in mean squared lengths.
        shrinkage: Isotropic part of the scatter within classes (`map`).
        penalty: Inverse prior variance of the weights, where it is not selected (`map`).
        score: Concept scores: "exp", "cosine" or "softmax" (`map` is linear).
        beta: Sharpness of exp scores, where it is not selected.
        alpha: What concept logits count, where it is not selected.
        alpha_max: End of the grid of alphas that `tf` searches.
        beta_max: End of the grid of betas that `tf` searches.
        hidden: Width of the network; 0 leaves it out.
        dropout: Of the network's hidden layer.
        text_residual: Whether `full` learns a residual of the class texts; None is the profile's.
        eta: What the residual counts.
        learn_concepts: Whether visual concepts are trained too (not with `map`, `tf`, or
            where images are kept).
        keep_images: Score every retrieved image instead of their mean, and average the scores.
        select: Whether anything is selected; False keeps the given values, validation data or not.
        transfer: Whether new classes get concept associations from their "text", or "none".
        lr: Learning rate of the heads that are trained by steps (as are the next three).
        epochs: Passes over the support.
        batch: Images of a step.
        weight_decay: AdamW's.
    """

    head: str | None = None
    profile: str = "recommended"
    visual: str | None = None
    top: int | None = None
    debias: bool | None = None
    smoothing: float = 0.01
    column_mass: bool | None = None
    ridge: float = 0.01
    shrinkage: float = 1.0
    penalty: float = 0.01
    score: Score = "exp"
    beta: float = 5.5
    alpha: float = 1.0
    alpha_max: float = 3.0
    beta_max: float = 7.0
    hidden: int = 64
    dropout: float = 0.5
    text_residual: bool | None = None
    eta: float = 0.5
    learn_concepts: bool = False
    keep_images: bool = False
    select: bool = True
    transfer: Literal["none", "text"] = "none"
    lr: float = 2e-4
    epochs: int = 10
    batch: int = 256
    weight_decay: float = 0.01

    wants_text: ClassVar[bool] = False
    wants_concepts: ClassVar[bool] = True
    searches: ClassVar[bool] = True

    # --- fitting --------------------------------------------------------------------------

    def _fit(self, data: Support) -> None:
        if self._kind == "clip_adapter" and data.text is None:
            raise UserError("the head 'clip_adapter' needs class_text; give it, or another head.")
        inference = self._inference()
        selects = self.select and self._kind != "clip_adapter"
        chosen = None
        if selects and data.val is None and data.shots > 1 and self._kind != "mlp_plain":
            chosen = self._tried_out(inference, data)
        basis = self._discover(data)
        inference.fit(data, basis, judged=data.val if selects else None, chosen=chosen)
        self.chosen_ = inference.chosen
        self._keep(inference, basis)
        logger.debug("visual concepts: %s", describe(self.diagnostics_))
        warning = complaint(self.diagnostics_, self._or_profile(self.debias))
        if warning and self._kind != "map":  # where associations play no part, nothing is lost
            logger.warning(warning)

    def _keep(self, inference: Inference, basis: ConceptBasis) -> None:
        self._fitted = inference
        self.association_, self.images_ = basis.association, basis.images
        self.grounding_ = basis.grounding
        if basis.features is not None:
            self.concepts_ = basis.features

    def _discover(self, data: Support) -> ConceptBasis:
        """Retrieve images for the text concepts, and make visual concepts of them."""
        assert data.concepts is not None
        found = discover_visual_concepts(
            data.concepts,
            data.features,
            data.labels,
            data.classes,
            self.top or min(data.shots, MAX_TOP),
            self._or_profile(self.debias),
            self.smoothing,
            self._or_profile(self.column_mass),
        )
        self.diagnostics_, self.text_concepts_ = found.diagnostics, data.concepts
        association = found.association
        if self._visual == "raw":
            association = data.views.new_zeros(data.views.shape[-1], data.classes)
        features = found.features if self._visual == "mean" else self._without_retrieval(data)
        return ConceptBasis(features, association, found.images, found.grounding)

    def _without_retrieval(self, data: Support) -> Tensor | None:
        """Return concepts that need no retrieved images."""
        assert data.concepts is not None
        if self._visual == "reconstruct":
            return unit(reconstruct(data.concepts, data.features, self.ridge))
        return data.concepts if self._visual == "text" else None

    def _tried_out(self, inference: Inference, data: Support) -> dict[str, float]:
        """Return settings selected on one held-out support image of each class."""
        kept, held = held_out(data, self.seed)
        if self._kind == "map" and self._visual != "mean":  # associations play no part in it
            nothing = data.views.new_zeros(0)
            basis = ConceptBasis(self._without_retrieval(kept), nothing, nothing, nothing)
        else:
            basis = self._discover(kept)
        return inference.try_out(kept, basis, held)

    @property
    def _visual(self) -> str:
        default = "reconstruct" if self._kind == "map" else "mean"
        return _one_of(self.visual, VISUAL, "visual") or default

    def _inference(self) -> Inference:
        if self._kind == "map":
            return PosteriorInference(self.scale, self.penalty, self.shrinkage)
        if self._kind in ("mlp_plain", "clip_adapter") and self.hidden < 1:
            raise UserError(f"the head {self._kind!r} is a network; give hidden, 1 at least.")
        settings = AssociationSettings(
            kind=self._kind,  # pyright: ignore[reportArgumentType]
            scale=self.scale,
            score=self.score,
            beta=self.beta,
            alpha=self.alpha,
            alpha_max=self.alpha_max,
            beta_max=self.beta_max,
            hidden=self.hidden,
            dropout=self.dropout,
            text_residual=self._or_profile(self.text_residual),
            eta=self.eta,
            learn_concepts=self.learn_concepts,
            keep_images=self.keep_images,
            transfer=self.transfer,
            recipe=Recipe(self.epochs, self.batch, self.lr, weight_decay=self.weight_decay),
            seed=self.seed,
        )
        return AssociationInference(settings)

    @property
    def _kind(self) -> str:
        profile = _one_of(self.profile, tuple(PROFILES), "profile")
        return _one_of(self.head, HEADS, "head") or PROFILES[profile or "recommended"]

    def _or_profile(self, value: bool | None) -> bool:
        return self.profile == "recommended" if value is None else value

    # --- use ------------------------------------------------------------------------------

    def _logits(self, features: Tensor) -> Tensor:
        return self._fitted.logits(queries(features, self.text_concepts_))

    def _terms(self, feature: Tensor, label: int) -> list[Term]:
        basis = ConceptBasis(
            getattr(self, "concepts_", None), self.association_, self.images_, self.grounding_
        )
        return self._fitted.terms(queries(feature, self.text_concepts_), label, basis)

    def new_logits(self, features: Tensor, class_text: Tensor) -> Tensor:
        """Return (n, D') logits of classes without a picture; see `transfer`."""
        x = queries(self._suited(features), self.text_concepts_)
        return self._fitted.new_logits(x, queries(class_text, x), self.text_concepts_)

    @property
    def trainable_parameters(self) -> int:
        """How many numbers were learned by gradient steps."""
        return self._fitted.trainable_parameters

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return what was learned, that of the inference under "inference."."""
        tensors, values = super().state()
        inner, plain = self._fitted.state()
        tensors |= {f"{_INNER}{name}": tensor for name, tensor in inner.items()}
        values |= {f"{_INNER}{name}": value for name, value in plain.items()}
        return tensors, values

    def load_state(self, tensors: dict[str, Tensor], values: dict[str, Any]) -> CCLI:
        """Take over what `state` returned; return self."""
        self._fitted = self._inference()
        for given in (tensors, values):
            inner = {k.removeprefix(_INNER): v for k, v in given.items() if k.startswith(_INNER)}
            self._fitted.load_state(inner, {})
            super().load_state({k: v for k, v in given.items() if not k.startswith(_INNER)}, {})
        return self


_INNER = "inference."


def held_out(data: Support, seed: int) -> tuple[Support, Labeled]:
    """Return the support without one drawn image of each class, and these."""
    kept, held = hold_out_one(data.labels, seed)
    smaller = replace(data, views=data.views[kept], labels=data.labels[kept])
    return smaller, (data.features[held], data.labels[held])


def _one_of(value: str | None, known: tuple[str, ...], name: str) -> str | None:
    if value is not None and value not in known:
        raise UserError(
            f"{name} is {value!r}.{nearest(value, known)} Choose one of {', '.join(known)}."
        )
    return value
