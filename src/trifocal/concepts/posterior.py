"""The default inference: weights most probable given a few labeled pictures and the class names.

Logistic regression whose prior is zero-shot CLIP: the logits of the class texts are an offset, and
the weights on top of them have a Gaussian prior with mean 0. Its mode is the minimum of

    sum_i CE(offset_i + z_i w, y_i) + penalty / 2 |w|^2,

convex, so there is one answer whatever the start; and since the sum grows with the number of
pictures, the texts count less the more pictures there are, without a weight to tune.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from trifocal.concepts.explanation import Term
from trifocal.concepts.head import Fitted
from trifocal.concepts.inference import ConceptBasis
from trifocal.concepts.space import ConceptSpace, concept_space
from trifocal.concepts.sparse import sparse_code
from trifocal.concepts.support import Labeled, Support, unit

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
    """Return the (k, D) weights of the mode.

    Args:
        points: (N, k) coordinates z.
        offsets: (N, D) logits that are there without any weight.
        labels: (N,) classes.
        penalty: Inverse variance of the prior.
        start: (k, D) where to begin.
        iterations: Steps at most.
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


def choose_penalty(
    fitted: Located,
    judged: Located,
    penalties: Iterable[float],
) -> float:
    """Return the penalty that classifies held-out pictures best; among equals the likeliest.

    Args:
        fitted: Points, offsets and labels to fit to.
        judged: Points, offsets and labels of other pictures.
        penalties: What to try; each starts from the weights of the stronger one before.
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
class PosteriorInference(Fitted):
    """The mode of the posterior in the concept space.

    Attributes:
        scale: Logit scale of the texts.
        penalty: Inverse prior variance, where it is not selected.
        shrinkage: See `concept_space`.
    """

    scale: float
    penalty: float
    shrinkage: float

    def fit(
        self,
        data: Support,
        basis: ConceptBasis,
        judged: Labeled | None = None,
        chosen: dict[str, float] | None = None,
    ) -> None:
        """Learn from the support; see `Inference.fit`."""
        space, fitted = self._prepare(data, basis)
        self.penalty_ = (chosen or {}).get("penalty", self.penalty)
        if judged is not None:
            self.penalty_ = choose_penalty(fitted, self._located(space, *judged), PENALTIES)
        weights = map_weights(*fitted, self.penalty_)
        self.center_, self.metric_ = space.center, space.metric
        self.weights_ = space.whitening @ weights

    def try_out(self, data: Support, basis: ConceptBasis, held: Labeled) -> dict[str, float]:
        """Return the penalty that does best on held-out images."""
        space, fitted = self._prepare(data, basis)
        return {"penalty": choose_penalty(fitted, self._located(space, *held), PENALTIES)}

    def _prepare(self, data: Support, basis: ConceptBasis) -> tuple[ConceptSpace, Located]:
        """Return the space, and the support in it."""
        features = data.features
        space = concept_space(
            features, unit(data.views), data.labels, basis.features, self.shrinkage
        )
        self.text_ = data.class_text
        return space, self._located(space, features, data.labels)

    def _located(self, space: ConceptSpace, features: Tensor, labels: Tensor) -> Located:
        x = unit(features)
        return space(x), self.scale * x @ self.text_.T, labels

    @property
    def chosen(self) -> dict[str, float]:
        """The penalty."""
        return {"penalty": self.penalty_}

    @property
    def trainable_parameters(self) -> int:
        """d D."""
        return self.weights_.numel()

    def logits(self, x: Tensor) -> Tensor:
        """Return (n, D) logits of unit features."""
        return torch.addmm(self.scale * x @ self.text_.T, self._points(x), self.weights_)

    def _points(self, x: Tensor) -> Tensor:
        """Return (n, d) points before whitening, which is in the weights."""
        return unit((x - self.center_) @ self.metric_)

    def terms(self, x: Tensor, label: int, basis: ConceptBasis) -> list[Term]:
        """Return the text's part, one term for each of a few concepts, and what they leave.

        The picture's point in the space is written as a few concepts and a remainder (`sparse`),
        whatever the class; each part times the weights of the class is a term.
        """
        text = float(self.scale * x[0] @ self.text_[label])
        point = self._points(x)[0]
        weights = self.weights_[:, label]
        terms = [Term("text", text)]
        if basis.features is None:
            return [*terms, Term("rest", float(point @ weights))]
        concepts = unit((basis.features - basis.features.mean(0)) @ self.metric_)
        found, shares = sparse_code(point, concepts, ATOMS)
        values = shares * (concepts[found] @ weights)
        terms += [
            basis.term(index, value, share)
            for index, value, share in zip(
                found.tolist(), values.tolist(), shares.tolist(), strict=True
            )
        ]
        return [*terms, Term("rest", float((point - shares @ concepts[found]) @ weights))]

    def new_logits(self, x: Tensor, class_text: Tensor, text_concepts: Tensor) -> Tensor:
        """Return zero-shot logits: no picture of a new class was seen."""
        return self.scale * x @ class_text.T
