"""The support in parts, so that every picture is once asked of a head that has not seen it.

One held-out picture a class is a test of D pictures, too few to tell settings apart; all folds
together are one of N (cross-validation; Stone, 1974).
"""

from __future__ import annotations

import torch
from torch import Tensor

MOST = 4


def fold_numbers(labels: Tensor, seed: int, most: int = MOST) -> Tensor:
    """Return the fold of each of (N,) support pictures, and -1 for one that none of its class is beside.

    There are as many folds as the largest class has pictures, `most` at most. The pictures of a class
    are spread evenly, in a drawn order; every class keeps one outside of every fold. The global random
    state is not touched.
    """
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    shuffled = labels.cpu()[order]
    grouped = order[shuffled.argsort(stable=True)]
    counts = torch.bincount(labels.cpu())
    first = counts.cumsum(0) - counts
    classes = labels.cpu()[grouped]
    turn = torch.arange(len(labels)) - first[classes]
    folds = torch.empty(len(labels), dtype=torch.long)
    folds[grouped] = torch.where(counts[classes] > 1, turn % min(most, int(counts.max())), -1)
    return folds.to(labels.device)
