"""A concept map's weights and Gaussians, and what they say of support pictures that they have not seen.

Of K fits, each without one fold of the support (`folds`), every picture is asked once. The Gaussians'
scale is learned from leaving out single pictures instead, which is closed-form: with two pictures a
class a fold would leave no scatter within classes to whiten by.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from trifocal.concepts.folds import fold_numbers
from trifocal.concepts.gaussians import Gaussians, class_gaussians, leave_one_out
from trifocal.concepts.mixture import ALONE, BESIDE, Asked, Scales, joined, likely_share
from trifocal.concepts.regression import ITERATIONS, map_weights
from trifocal.concepts.space import ConceptSpace, whitened
from trifocal.concepts.support import Support, unit

TRIALS = 10  # iterations of each fold's fit
SURE = 2.5  # what learned weights are multiplied by without class texts, where nothing tells
COLD = 0.1  # what the Gaussians' own scale is multiplied by, likewise

Texts = Callable[[Tensor], Tensor]  # (n, d) features to (n, D) logits of class texts


@dataclass(frozen=True)
class MapFit:
    """What was fitted in one space.

    Attributes:
        space: From features to whitened points (n, k).
        learned: (k, D) weights of the logistic regression.
        gaussians: The classes' Gaussians.
        center: Scales that are to be expected of both.
    """

    space: ConceptSpace
    learned: Tensor
    gaussians: Gaussians
    center: Scales

    @property
    def known(self) -> bool:
        """Whether there was any scatter within classes to whiten by."""
        return math.isfinite(self.space.scatter)

    def asked(self, features: Tensor, texts: Tensor, labels: Tensor) -> Asked:
        """Return what it says of unit features (n, d)."""
        points = self.space(features)
        gaussian = self.gaussians(points) if self.known else None
        return Asked(texts, points @ self.learned, gaussian, labels)


@dataclass(frozen=True)
class Mixture:
    """What a fit's parts count.

    Attributes:
        scales: Of both parts.
        share: Of the Gaussians.
        asked: Logits (n, D) of unseen pictures under it, and their labels; None where there are none.
    """

    scales: Scales
    share: float
    asked: tuple[Tensor, Tensor] | None = None

    def join(self, fit: MapFit) -> tuple[Tensor, Tensor]:
        """Return weights (k, D) and biases (D,) of a fit's parts together."""
        gaussians = fit.gaussians
        return joined(fit.learned, (gaussians.weights, gaussians.biases), self.scales, self.share)


def fit_map(
    space: ConceptSpace,
    data: Support,
    texts: Tensor,
    penalty: float,
    iterations: int = ITERATIONS,
) -> MapFit:
    """Fit both parts to a support whose texts' logits are (N, D)."""
    points = space(data.features)
    learned = map_weights(points, texts, data.labels, penalty, iterations=iterations)
    free = max(1, len(points) - data.classes)
    sure = 1.0 if data.text is not None else SURE
    # Nearest means in a space that is not whitened have no scale of their own.
    center = Scales(sure, COLD * free / space.scatter if math.isfinite(space.scatter) else sure)
    return MapFit(space, learned, class_gaussians(points, data.labels, data.classes), center)


def mix(
    fit: MapFit,
    data: Support,
    texts: Texts,
    *,
    penalty: float,
    shrinkage: float,
    share: float | None,
    select: bool,
    seed: int,
) -> Mixture:
    """Return what the parts of a fit count; see `ConceptMap` for the parameters."""
    usual = share
    if usual is None:  # Gaussians do not know what texts say, so beside them it would count twice
        usual = ALONE if fit.known and data.text is None else BESIDE
    if not select:
        return Mixture(fit.center, usual)
    if data.val is not None:
        features, labels = unit(data.val[0]), data.val[1]
        judged = asked = fit.asked(features, texts(features), labels)
    else:
        told = texts(data.features)
        folds = fold_numbers(data.labels, seed)
        rows = folds >= 0
        if not bool(rows.any()):
            return Mixture(fit.center, usual)
        judged = _crossed(fit, data, told, folds, penalty, shrinkage)
        points = fit.space(data.features)
        alone = leave_one_out(fit.gaussians, points, data.labels, fit.space.scatter)
        asked = replace(judged, gaussian=alone[rows] if fit.known else None)
    scales = asked.scales(fit.center)
    if share is None and judged.gaussian is not None:
        judging = scales if judged is asked else judged.scales(fit.center)
        usual = likely_share(judged, judging, usual)
    return Mixture(scales, usual, (asked.mixed(scales, usual), asked.labels))


def _crossed(
    fit: MapFit, data: Support, texts: Tensor, folds: Tensor, penalty: float, shrinkage: float
) -> Asked:
    """Return what is said of all pictures in a fold by fits without that fold.

    Concepts and their emphasis are of the whole support, whose labels they do not know.
    """
    learned, gaussian = torch.zeros_like(texts), torch.zeros_like(texts)
    whole = True
    for fold in range(int(folds.max()) + 1):
        kept, held = folds != fold, folds == fold
        part = replace(data, views=data.views[kept], labels=data.labels[kept])
        space = whitened(fit.space, part.features, unit(part.views), part.labels, shrinkage)
        without = fit_map(space, part, texts[kept], penalty, TRIALS)
        asked = without.asked(data.features[held], texts[held], data.labels[held])
        learned[held] = asked.learned
        whole = whole and asked.gaussian is not None
        if asked.gaussian is not None:
            gaussian[held] = asked.gaussian
    rows = folds >= 0
    return Asked(texts[rows], learned[rows], gaussian[rows] if whole else None, data.labels[rows])
