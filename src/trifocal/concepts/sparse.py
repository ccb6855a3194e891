"""A picture as a few concepts: a sparse, non-negative code.

Greedy matching pursuit whose coefficients are refitted by non-negative least squares at each step
(scipy), in the manner of SpLiCE (Bhalla et al., NeurIPS 2024, arXiv 2402.10376). Concepts repeat one
another, so a picture's scores for all of them say little; the few it is made of say more.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import nnls
from torch import Tensor

_NOTHING = 1e-4  # correlation with what is left below which a concept explains nothing


def sparse_code(
    point: Tensor, concepts: Tensor, count: int, among: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return which of the concepts (I, d), unit rows, a point (d,) is made of, and how much.

    Args:
        point: What is to be written.
        concepts: What it may be written as.
        count: So many of them at most.
        among: (I,) bools, which of them may be used; None for all.

    Returns:
        The numbers (K',) of `count` concepts at most, and their non-negative shares (K',), those
        that hold any, in the order found.
    """
    return sparse_codes(point[None], concepts, count, None if among is None else among[None])[0]


def sparse_codes(
    points: Tensor, concepts: Tensor, count: int, among: Tensor | None = None
) -> list[tuple[Tensor, Tensor]]:
    """Return the code of each of n points (n, d), as `sparse_code` does, with `among` (n, I)."""
    targets, atoms = points.cpu().double().numpy(), concepts.cpu().double().numpy()
    barred = np.zeros((len(targets), len(atoms)), dtype=bool)
    if among is not None:
        barred |= ~among.cpu().numpy()
    left, chosen = targets.copy(), [list[int]() for _ in targets]
    shares = [np.zeros(0)] * len(targets)
    going = np.arange(len(targets))
    for _ in range(min(count, len(atoms))):
        fit = np.where(barred[going], -np.inf, left[going] @ atoms.T)
        best = fit.argmax(1)
        more = fit.max(1) >= _NOTHING
        going, best = going[more], best[more]
        for row, one in zip(going, best):
            chosen[row].append(int(one))
            barred[row, one] = True
            own = atoms[chosen[row]]
            shares[row], _ = nnls(own.T, targets[row])
            left[row] = targets[row] - shares[row] @ own
    return [_kept(found, share, concepts) for found, share in zip(chosen, shares, strict=True)]


def _kept(chosen: list[int], shares: np.ndarray, concepts: Tensor) -> tuple[Tensor, Tensor]:
    """Return the concepts that hold a share, and how much, beside the concepts."""
    found = torch.tensor(chosen, dtype=torch.long)[torch.from_numpy(shares > 0)]
    return found.to(concepts.device), torch.from_numpy(shares[shares > 0]).to(concepts)
