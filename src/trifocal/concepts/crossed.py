"""A concept map's weights, and what they say of support pictures that they have not seen.

Of K fits, each without one fold of the support (`folds`), every picture is asked once. The Gaussians'
scale is learned from leaving out single pictures instead, which is closed-form: with two pictures a
class a fold would leave no scatter within classes to whiten by.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from trifocal.concepts.mixture import Asked
from trifocal.concepts.placed import Placed, placed
from trifocal.concepts.regression import map_weights

TRIALS = 7  # iterations of each fold's fit
AGAIN = 6  # of the fit to all, which starts from the folds' mean


@dataclass(frozen=True)
class Crossed:
    """Of K fits, each without one fold.

    Attributes:
        asked: What is said of all pictures in a fold by the fit without it.
        weights: (k, D) their mean, before whitening.
    """

    asked: Asked
    weights: Tensor


def crossed(
    where: Placed, texts: Tensor, folds: Tensor, penalty: float, shrinkage: float
) -> Crossed:
    """Fit without one fold after the other, whose numbers are (N,), -1 for none.

    Concepts and their emphasis are of the whole support, whose labels they do not know; `texts` (N, D) are
    logits of class texts.
    """
    classes, labels = texts.shape[1], where.labels
    learned, gaussian = torch.zeros_like(texts), torch.zeros_like(texts)
    whole, count = True, int(folds.max()) + 1
    weights = texts.new_zeros(where.bare.shape[1], classes)
    views = where.views.view(len(labels), -1, where.bare.shape[1])
    for fold in range(count):
        kept, held = folds != fold, folds == fold
        given = (where.bare[kept], views[kept].flatten(0, 1), labels[kept], classes, shrinkage)
        part = placed(where.space, *given)
        found = map_weights(part.points, texts[kept], labels[kept], penalty, iterations=TRIALS)
        asked = where.bare[held] @ part.space.whitening
        learned[held] = asked @ found
        weights.addmm_(part.space.whitening, found, alpha=1 / count)
        whole = whole and part.known
        if part.known:
            gaussian[held] = part.gaussians(asked)
    rows = folds >= 0
    said = Asked(texts[rows], learned[rows], gaussian[rows] if whole else None, labels[rows])
    return Crossed(said, weights)


def learned_again(where: Placed, before: Crossed, texts: Tensor, penalty: float) -> Tensor:
    """Return weights (k, D) fitted to all pictures, from those of the folds."""
    start = torch.linalg.solve(where.space.whitening, before.weights)
    given = (where.points, texts, where.labels, penalty)
    return map_weights(*given, start=start, iterations=AGAIN)
