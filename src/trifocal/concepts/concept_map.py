"""Concept map: logistic regression in concept space, with zero-shot CLIP as its prior.

Ours, not a paper's. As in CCLI (`ccli`), text concepts find visual concepts among the support images;
what is made of them is convex instead of a network:

    z = K P (x - m) / |P (x - m)|            P: fourth root of the concepts' covariance
                                             K: scatter within classes, whitened
    logits = scale * x Wᵀ + z B

B is most probable given the labeled pictures and the class names: the logits of the class texts W are
an offset, and the weights on top of them have a Gaussian prior with mean 0. The mode is the minimum of

    sum_i CE(offset_i + z_i B, y_i) + penalty / 2 |B|^2,

so there is one answer whatever the start; and since the sum grows with the number of pictures, the
texts count less the more pictures there are, without a weight to tune. "map" is both: a maximum a
posteriori estimate, and a map of a picture by its concepts.

Reading order: `ConceptMap` from `_fit` down, `space` for z, `map_weights` for B, `sparse` for how an
answer is explained; `discovery` has the visual concepts.

When to use: by default, from one photo a class on. Where class names say nothing (invented words, part
numbers) fit it without class texts.

Relations: without concepts (`visual="raw"`) it is GDA's whitening (arXiv 2402.04087) under a logistic
regression that CLIP's texts start, where a linear probe starts from nothing; Tip-Adapter adds to the
texts what similar support images say, with a weight to choose.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from trifocal.concepts.discovery import Visual, VisualConcepts, concept_features, describe, retrieve
from trifocal.concepts.explanation import Term, concept_terms
from trifocal.concepts.head import Head
from trifocal.concepts.rows import queries
from trifocal.concepts.search import held_out
from trifocal.concepts.space import ConceptSpace, concept_space
from trifocal.concepts.sparse import sparse_code
from trifocal.concepts.support import Labeled, Support, unit

logger = logging.getLogger(__name__)

PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1)

ITERATIONS = 25  # of L-BFGS; what is left then changes no prediction worth speaking of
ATOMS = 8  # concepts that a picture is explained by; more are less often in it
TRIALS = 8  # for each penalty that is tried; each starts where the one before ended

Located = tuple[Tensor, Tensor, Tensor]  # points (n, k), offsets (n, D), labels (n,)


def map_weights(
    points: Tensor,
    offsets: Tensor,
    labels: Tensor,
    penalty: float,
    *,
    start: Tensor | None = None,
    iterations: int = ITERATIONS,
) -> Tensor:
    """Return the (k, D) weights of the mode, for coordinates z (N, k) and labels (N,).

    `offsets` (N, D) are logits that are there without any weight, `penalty` is the inverse variance
    of the prior, and `start` (k, D) where to begin.
    """
    weights = torch.zeros_like(points.T @ offsets) if start is None else start.clone()
    weights.requires_grad_(True)
    optimizer = torch.optim.LBFGS(
        [weights],
        max_iter=iterations,
        history_size=8,
        tolerance_grad=1e-5,
        tolerance_change=1e-7,
        line_search_fn="strong_wolfe",
    )
    rows = torch.arange(len(labels), device=labels.device)

    @torch.no_grad()
    def objective() -> Tensor:
        chances = torch.addmm(offsets, points, weights).log_softmax(1)
        loss = -chances[rows, labels].sum() + penalty / 2 * weights.pow(2).sum()
        errors = chances.exp_()
        errors[rows, labels] -= 1
        weights.grad = torch.addmm(weights, points.T, errors, beta=penalty)
        return loss

    optimizer.step(objective)  # pyright: ignore[reportArgumentType]
    return weights.detach()


def choose_penalty(fitted: Located, judged: Located, penalties: Iterable[float]) -> float:
    """Return the penalty that classifies held-out pictures best; among equals the likeliest.

    Both sets are points, offsets and labels; each fit starts from the weights of the stronger
    penalty before.
    """
    points, offsets, labels = judged
    weights, best, chosen = None, (-1.0, 0.0), 0.0
    for penalty in sorted(penalties, reverse=True):
        weights = map_weights(*fitted, penalty, start=weights, iterations=TRIALS)
        logits = torch.addmm(offsets, points, weights)
        right = float((logits.argmax(1) == labels).sum())
        quality = (right, -float(F.cross_entropy(logits, labels)))
        if quality > best:
            best, chosen = quality, penalty
    return chosen


@dataclass(eq=False)
class ConceptMap(Head):
    """Logistic regression in concept space, with zero-shot CLIP as its prior.

    What `fit` selects: the penalty, with validation data on them, without on one held-out support
    image of each class, before all are fitted. With one image a class nothing is.

    Attributes:
        visual: What a concept is in image space; see `concept_features`.
        top: T, images that are shown for a concept; None is the number of shots, 8 at most.
        debias: See `discover_visual_concepts`.
        ridge: Penalty of visual="reconstruct", in mean squared lengths.
        shrinkage: Isotropic part of the scatter within classes.
        penalty: Inverse prior variance of the weights, where it is not selected.
        select: Whether it is; False keeps the given one, validation data or not.
    """

    visual: Visual = "reconstruct"
    top: int | None = None
    debias: bool = True
    ridge: float = 0.01
    shrinkage: float = 1.0
    penalty: float = 0.01
    select: bool = True

    wants_text: ClassVar[bool] = False
    wants_concepts: ClassVar[bool] = True
    searches: ClassVar[bool] = True

    # --- fitting --------------------------------------------------------------------------

    def _fit(self, data: Support) -> None:
        self.text_, penalty = data.class_text, self.penalty
        if self.select and data.val is None and data.shots > 1:
            kept, held = held_out(data, self.seed)
            penalty = self._chosen(self._space(kept, self._concepts(kept)), kept, held)
        found = retrieve(data, self.top, self.debias)
        self.images_, self.grounding_ = found.images, found.grounding
        self.diagnostics_ = found.diagnostics
        logger.debug("visual concepts: %s", describe(self.diagnostics_))
        concepts = self._concepts(data, found)
        if concepts is not None:
            self.concepts_ = concepts
        space = self._space(data, concepts)
        if self.select and data.val is not None:
            penalty = self._chosen(space, data, data.val)
        weights = map_weights(*self._located(space, data.features, data.labels), penalty)
        self.chosen_ = {"penalty": penalty}
        self.center_, self.metric_ = space.center, space.metric
        self.weights_ = space.whitening @ weights

    def _concepts(self, data: Support, found: VisualConcepts | None = None) -> Tensor | None:
        if self.visual == "mean":
            return (found or retrieve(data, self.top, self.debias)).features
        return concept_features(self.visual, data, self.ridge)

    def _space(self, data: Support, concepts: Tensor | None) -> ConceptSpace:
        views = unit(data.views)
        return concept_space(data.features, views, data.labels, concepts, self.shrinkage)

    def _located(self, space: ConceptSpace, features: Tensor, labels: Tensor) -> Located:
        x = unit(features)
        return space(x), self.scale * x @ self.text_.T, labels

    def _chosen(self, space: ConceptSpace, data: Support, judged: Labeled) -> float:
        """Return the penalty that does best on other pictures."""
        fitted = self._located(space, data.features, data.labels)
        return choose_penalty(fitted, self._located(space, *judged), PENALTIES)

    @property
    def trainable_parameters(self) -> int:
        """d D."""
        return self.weights_.numel()

    # --- use ------------------------------------------------------------------------------

    def _points(self, x: Tensor) -> Tensor:
        """Return (n, d) points of unit features before whitening, which is in the weights."""
        return unit((x - self.center_) @ self.metric_)

    def _logits(self, features: Tensor) -> Tensor:
        x = queries(features, self.text_)
        return torch.addmm(self.scale * x @ self.text_.T, self._points(x), self.weights_)

    def _terms(self, feature: Tensor, label: int) -> list[Term]:
        """Return the text's part, one term for each of a few concepts, and what they leave.

        The picture's point in the space is written as a few concepts and a remainder (`sparse`),
        whatever the class; each part times the weights of the class is a term.
        """
        x = queries(feature, self.text_)
        point, weights = self._points(x)[0], self.weights_[:, label]
        terms = [Term("text", float(self.scale * x[0] @ self.text_[label]))]
        if not hasattr(self, "concepts_"):
            return [*terms, Term("rest", float(point @ weights))]
        concepts = unit((self.concepts_ - self.concepts_.mean(0)) @ self.metric_)
        found, shares = sparse_code(point, concepts, ATOMS)
        values = shares * (concepts[found] @ weights)
        images, grounding = self.images_[found], self.grounding_[found]
        terms += concept_terms(found.tolist(), values, shares, images, grounding)
        return [*terms, Term("rest", float((point - shares @ concepts[found]) @ weights))]
