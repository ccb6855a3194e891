"""Whether an answer is as often right as it says: the expected calibration error."""

from __future__ import annotations

import torch
from torch import Tensor

BINS = 15


def calibration_error(chances: Tensor, labels: Tensor, bins: int = BINS) -> float:
    """Return the mean distance between how sure answers are and how often they are right, in [0, 1].

    Answers are binned by their probability in bins of one width, and distances weighted by how many
    are in a bin (Naeini, Cooper and Hauskrecht, AAAI 2015; with 15 bins as in Guo et al., ICML 2017,
    arXiv 1706.04599).

    Args:
        chances: (n, C) probabilities.
        labels: (n,) right classes.
        bins: How many bins.
    """
    sure, answers = chances.double().max(1)
    right = (answers == labels).double()
    place = (sure * bins).ceil().long().clamp(1, bins) - 1
    gaps = torch.zeros(bins, dtype=torch.float64).index_add_(0, place.cpu(), (sure - right).cpu())
    return float(gaps.abs().sum() / max(1, len(labels)))
