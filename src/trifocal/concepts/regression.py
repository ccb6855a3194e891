"""Logistic regression with a prior: the weights that are most probable given labeled points.

    sum_i CE(offset_i + z_i B, y_i) + penalty / 2 |B|^2

is convex, so there is one answer whatever the start.
"""

from __future__ import annotations

import torch
from torch import Tensor

ITERATIONS = 16  # of L-BFGS; what is left then changes no prediction worth speaking of


def map_weights(
    points: Tensor,
    offsets: Tensor,
    labels: Tensor,
    penalty: float,
    *,
    start: Tensor | None = None,
    iterations: int = ITERATIONS,
) -> Tensor:
    """Return the (k, D) weights of the mode, for coordinates z (N, k) and labels (N,).

    `offsets` (N, D) are logits that are there without any weight, `penalty` is the inverse variance
    of the prior, and `start` (k, D) where to begin.
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
