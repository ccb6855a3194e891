"""How well scores put positives before negatives: ROC-AUC, average precision, VOC's eleven points.

Equal scores enter together, at one threshold (as in scikit-learn's curves), so no value depends on
the order of the items: a constant score has an AUC of one half and the share of positives as its
average precision. NaN is below every other score.
"""

from __future__ import annotations

import torch
from torch import Tensor

_POINTS = 11  # recalls 0, 0.1, ..., 1


def roc_auc(scores: Tensor, positive: Tensor) -> float:
    """Return the chance that a positive scores above a negative, ties counting one half.

    Args:
        scores: (N,) floats.
        positive: (N,) bool.

    Returns:
        A fraction; NaN where there is no positive or no negative.
    """
    right, wrong = _by_threshold(scores, positive)
    below = wrong.flip(0).cumsum(0).flip(0) - wrong
    pairs = right.sum() * wrong.sum()
    return float(((below + wrong / 2) * right).sum() / pairs) if pairs else float("nan")


def average_precision(scores: Tensor, positive: Tensor) -> float:
    """Return the precision at each positive, averaged over the positives; NaN without any.

    Args:
        scores: (N,) floats.
        positive: (N,) bool.
    """
    right, wrong = _by_threshold(scores, positive)
    if not right.sum():
        return float("nan")
    precision = right.cumsum(0) / (right + wrong).cumsum(0)
    return float((precision * right).sum() / right.sum())


def eleven_point_precision(scores: Tensor, positive: Tensor) -> float:
    """Return the mean of the best precision at a recall of at least 0, 0.1, ..., 1.

    PASCAL VOC's measure until 2009 (Everingham et al., IJCV 2010, section 4.2), which ELEVATER keeps
    for VOC 2007. NaN without positives.

    Args:
        scores: (N,) floats.
        positive: (N,) bool.
    """
    right, wrong = _by_threshold(scores, positive)
    if not right.sum():
        return float("nan")
    precision = right.cumsum(0) / (right + wrong).cumsum(0)
    recall = right.cumsum(0) / right.sum()
    best = precision.flip(0).cummax(0).values.flip(0)  # at this recall or a higher one
    points = torch.arange(_POINTS, dtype=torch.float64) / (_POINTS - 1)
    place = torch.searchsorted(recall, points - 1e-12)
    return float(best[place].mean())


def _by_threshold(scores: Tensor, positive: Tensor) -> tuple[Tensor, Tensor]:
    """Return how many positives and negatives have each different score, the highest first."""
    values, place = torch.unique(scores.double().nan_to_num(nan=-torch.inf), return_inverse=True)
    right = torch.bincount(place, weights=positive.double(), minlength=len(values))
    wrong = torch.bincount(place, weights=(~positive).double(), minlength=len(values))
    return right.flip(0), wrong.flip(0)
