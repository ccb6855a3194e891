"""A yes or no from a score: the one threshold that fits some answers best."""

from __future__ import annotations

import torch
from torch import Tensor


def best_threshold(scores: Tensor, positive: Tensor) -> float:
    """Return the threshold above which "yes" is right most often.

    It lies halfway between two neighbouring scores, or below or at the outermost; of several that are as
    good, the lowest.

    Args:
        scores: (N,) floats, at least one.
        positive: (N,) bool, where "yes" is right.
    """
    values, place = torch.unique(scores.double(), return_inverse=True)
    right = torch.bincount(place, weights=positive.double(), minlength=len(values))
    wrong = torch.bincount(place, weights=(~positive).double(), minlength=len(values))
    # Threshold k has the k lowest values below it.
    gained = torch.cat([right.new_zeros(1), (wrong - right).cumsum(0)])
    between = torch.cat([values[:1] - 1, (values[1:] + values[:-1]) / 2, values[-1:]])
    return float(between[int(gained.argmax())])
