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
    target, atoms = point.cpu().double().numpy(), concepts.cpu().double().numpy()
    barred = [] if among is None else (~among).nonzero().flatten().tolist()
    chosen: list[int] = []
    shares, left = np.zeros(0), target
    for _ in range(min(count, len(atoms))):
        fit = atoms @ left
        fit[chosen + barred] = -np.inf
        best = int(fit.argmax())
        if fit[best] < _NOTHING:
            break
        chosen.append(best)
        shares, _ = nnls(atoms[chosen].T, target)
        left = target - shares @ atoms[chosen]
    kept = [place for place, share in enumerate(shares) if share > 0]
    found = torch.tensor([chosen[place] for place in kept], dtype=torch.long)
    return found.to(concepts.device), torch.from_numpy(shares[kept]).to(concepts)
