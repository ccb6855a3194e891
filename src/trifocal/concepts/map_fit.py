"""Both parts of a concept map, fitted in one space, and what each counts.

Without validation rows the support's own pictures tell: in which space left-out ones are likeliest
(`likely_space`), and what learned weights and Gaussians say of those that a fit had not seen (`crossed`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import Tensor

from trifocal.concepts.crossed import crossed, learned_again
from trifocal.concepts.folds import fold_numbers
from trifocal.concepts.likely_space import Likely, likeliest_space
from trifocal.concepts.mixture import ALONE, BESIDE, Asked, Scales, joined, likely_share
from trifocal.concepts.placed import Placed, Places
from trifocal.concepts.regression import map_weights
from trifocal.concepts.support import Labeled, Support, unit

SURE = 2.5  # what learned weights are multiplied by without class texts, where nothing tells

Texts = Callable[[Tensor], Tensor]  # (n, d) features to (n, D) logits of class texts


@dataclass(frozen=True)
class MapFit:
    """What was fitted, and what it counts.

    Attributes:
        where: The support in the space.
        learned: (k, D) weights of the logistic regression.
        scales: Of both parts.
        share: Of the Gaussians.
        asked: Logits (n, D) of unseen pictures, and their labels; None where there are none.
    """

    where: Placed
    learned: Tensor
    scales: Scales
    share: float
    asked: tuple[Tensor, Tensor] | None = None

    def weights(self) -> tuple[Tensor, Tensor]:
        """Return weights (k, D), before whitening, and biases (D,) of both parts together."""
        gaussians = self.where.gaussians
        parts = (gaussians.weights, gaussians.biases)
        weights, biases = joined(self.learned, parts, self.scales, self.share)
        return self.where.space.whitening @ weights, biases


def fit_map(
    places: Places,
    data: Support,
    texts: Texts,
    *,
    penalty: float,
    shrinkage: float,
    powers: tuple[float, ...],
    lengths: tuple[float, ...],
    share: float | None,
    select: bool,
    seed: int,
) -> MapFit:
    """Fit both parts to a support, and learn what they count; see `ConceptMap` for the parameters.

    Of several `powers` and `lengths` the likeliest are taken where pictures can be left out, otherwise
    the first.
    """
    told, labels = texts(data.features), data.labels
    folds = fold_numbers(labels, seed)
    rows = (folds >= 0).nonzero().flatten()
    likely: Likely | None = None
    if select and len(rows):
        likely = likeliest_space(places, told, rows, powers, lengths)
    where = places.at(powers[0], lengths[0]) if likely is None else likely.placed
    sure = 1.0 if data.text is not None else SURE
    # Nearest means in a space that is not whitened have no scale of their own.
    center = Scales(sure, where.usual_scale if where.known else sure)
    usual = share
    if usual is None:  # Gaussians do not know what texts say, so beside them it would count twice
        usual = ALONE if where.known and data.text is None else BESIDE
    if likely is None or data.val is not None:
        learned = map_weights(where.points, told, labels, penalty)
        if not select or data.val is None:
            return MapFit(where, learned, center, usual)
        judged = asked = _validated(where, learned, data.val, texts)
        judging = scales = asked.scales(center)
    else:
        before = crossed(where, told, folds, penalty, shrinkage)
        learned = learned_again(where, before, told, penalty)
        judged, judging = before.asked, before.asked.scales(center)
        asked = replace(judged, gaussian=where.alone(rows) if where.known else None)
        scales = Scales(judging.learned, likely.scale if where.known else center.gaussian)
    if share is None and judged.gaussian is not None:
        usual = likely_share(judged, judging, usual)
    return MapFit(where, learned, scales, usual, (asked.mixed(scales, usual), asked.labels))


def _validated(where: Placed, learned: Tensor, val: Labeled, texts: Texts) -> Asked:
    """Return what is said of validation pictures."""
    features, labels = unit(val[0]), val[1]
    points = where.space(features)
    gaussian = where.gaussians(points) if where.known else None
    return Asked(texts(features), points @ learned, gaussian, labels)
