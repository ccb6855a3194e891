"""Logistic regression with a prior: the weights that are most probable given labeled points.

    sum_i CE(offset_i + z_i B, y_i) + penalty / 2 |B|^2

is convex, so there is one answer whatever the start.

It is found by L-BFGS (Liu and Nocedal, 1989). Logits are linear in the weights, so along a direction
they are known from one product with the points, and the best step from a few sums over logits: a step
costs two products however often its length is tried, and the first is as long as it should be. A
general optimizer pays two for each trial, and begins with steps as short as the gradient is long.
"""

from __future__ import annotations

import torch
from torch import Tensor

ITERATIONS = 11  # of L-BFGS; what is left then changes no prediction worth speaking of
_HISTORY = 8
_TRIALS = 8  # of a step's length at most
_GAIN = 1e-8  # a step that is expected to gain less is the last


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
    rows = torch.arange(len(labels), device=labels.device)
    weights = (
        points.new_zeros(points.shape[1], offsets.shape[1]) if start is None else start.clone()
    )
    logits = offsets.clone() if start is None else torch.addmm(offsets, points, weights)

    def gradient() -> Tensor:
        errors = logits.softmax(1)
        errors[rows, labels] -= 1
        return torch.addmm(weights, points.T, errors, beta=penalty)

    history = _History()
    slope = gradient()
    for _ in range(iterations):
        direction = history.times(slope).neg_()
        if -float((direction * slope).sum()) < 2 * _GAIN:
            break
        along = points @ direction
        prior = (
            penalty * float((weights * direction).sum()),
            penalty * float(direction.square().sum()),
        )
        length = _best_length(logits, along, labels, *prior)
        weights.add_(direction, alpha=length)
        logits.add_(along, alpha=length)
        before, slope = slope, gradient()
        history.add(direction.mul_(length), slope - before)
    return weights


class _History:
    """The last steps, and how gradients changed by them: an inverse Hessian, near enough."""

    def __init__(self) -> None:
        self._pairs: list[tuple[Tensor, Tensor, float]] = []

    def add(self, step: Tensor, change: Tensor) -> None:
        curvature = float((step * change).sum())
        if curvature > 0:  # rounding alone makes it anything else
            self._pairs = [*self._pairs[1 - _HISTORY :], (step, change, curvature)]

    def times(self, gradient: Tensor) -> Tensor:
        """Return the inverse Hessian times a gradient (the two loops of L-BFGS)."""
        found, shares = gradient.clone(), []
        for step, change, curvature in reversed(self._pairs):
            shares.append(float((step * found).sum()) / curvature)
            found.add_(change, alpha=-shares[-1])
        if self._pairs:
            _, change, curvature = self._pairs[-1]
            found.mul_(curvature / float(change.square().sum()))
        for step, change, curvature in self._pairs:
            found.add_(step, alpha=shares.pop() - float((change * found).sum()) / curvature)
        return found


def _best_length(logits: Tensor, along: Tensor, labels: Tensor, tilt: float, bend: float) -> float:
    """Return t > 0 for which logits + t along, and tilt t + bend t² / 2 of the prior, are best.

    Newton's method on a convex function, kept between bounds; a tenth of the slope may be left.
    """
    own = float(along.gather(1, labels[:, None]).sum())
    low, high, at, first = 0.0, float("inf"), 0.0, 0.0
    for trial in range(_TRIALS):
        chances = torch.add(logits, along, alpha=at).softmax(1)
        weighted = chances.mul_(along)
        means = weighted.sum(1)
        slope = float(means.sum()) - own + tilt + bend * at
        if not trial:
            first = slope
        elif abs(slope) <= 0.1 * abs(first):
            break
        low, high = (at, high) if slope < 0 else (low, at)
        curve = float((weighted * along).sum() - means.square().sum()) + bend
        at -= slope / max(curve, torch.finfo(along.dtype).tiny)
        if not low < at < high:
            at = (low + high) / 2 if high < float("inf") else 2 * max(low, 1e-6)
    return at
