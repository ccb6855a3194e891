"""Choosing the two numbers of a cached branch: how much it counts (alpha) and how sharp it is (beta).

Logits are `base + alpha * branch`, and a cached branch is `sum of exp(-beta (1 - affinity))` over
the support images of each class (Tip-Adapter, Zhang et al., ECCV 2022, arXiv 2207.09519, equations
5-6). The field tries 200 betas x 20 alphas on validation images. This search finds what a loop over
that grid finds, beta outer and alpha inner, the first of the best; it does so by computing

* affinities once, exponentials once a beta, and sums over the images of a class by adding rows;
* for each image the *range* of alphas that classifies it rightly, instead of 20 predictions: the
  true class y wins over class k where (base_y - base_k) / alpha > branch_k - branch_y, one bound on
  1 / alpha for each k.

Images within rounding of a bound are decided by their logits, as the loop would.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from trifocal.concepts.support import Labeled, Support
from trifocal.errors import UserError

BETA_STEPS, ALPHA_STEPS = 200, 20
_NEAR = 1e-4  # relative distance to a bound within which logits decide
_BLOCK = 1 << 19  # affinities held at a time: 2 MB, so that they stay in the processor's cache


@dataclass(frozen=True)
class TipGrid:
    """Where Tip-Adapter searches on a data set, and what it uses without a search.

    Attributes:
        beta_max, alpha_max: Ends of the grids.
        alpha, beta: Start values of the released configurations.
    """

    beta_max: float
    alpha_max: float
    alpha: float
    beta: float = 1.0

    @property
    def betas(self) -> list[float]:
        """The 200 betas, from 0.1 on."""
        return _grid(self.beta_max, BETA_STEPS)

    @property
    def alphas(self) -> list[float]:
        """The 20 alphas, from 0.1 on."""
        return _grid(self.alpha_max, ALPHA_STEPS)


TIP_GRIDS = {
    "caltech101": TipGrid(12, 5, 3),
    "dtd": TipGrid(13, 13, 2),
    "eurosat": TipGrid(12, 10, 2),
    "fgvc_aircraft": TipGrid(30, 30, 5),
    "food101": TipGrid(10, 10, 1.17),
    "imagenet": TipGrid(7, 3, 1.17),
    "oxford_flowers": TipGrid(50, 50, 10),
    "oxford_pets": TipGrid(7, 3, 1.17),
    "stanford_cars": TipGrid(20, 10, 3),
    "sun397": TipGrid(12, 10, 1.17),
    "ucf101": TipGrid(7, 3, 3),
}


def _grid(stop: float, steps: int) -> list[float]:
    return [0.1 + i * (stop - 0.1) / steps for i in range(steps)]


@dataclass(frozen=True)
class Found:
    """The best of a grid.

    Attributes:
        alpha, beta: The first of the best pairs; beta is nan where none was searched.
        accuracy: Their share of images classified rightly.
    """

    alpha: float
    beta: float
    accuracy: float


class AlphaCounter:
    """Counts, for many alphas at once, the images that `base + alpha * branch` classifies rightly.

    `base` are logits (n, D) that stay, `labels` (n,) the true classes; no alpha is below 0.

    Raises:
        ValueError: an alpha is negative.
    """

    def __init__(self, base: Tensor, labels: Tensor, alphas: Sequence[float] | Tensor) -> None:
        self._labels = labels.to(base.device)
        self._alphas = torch.as_tensor(alphas, dtype=base.dtype, device=base.device)
        if bool((self._alphas < 0).any()):
            raise ValueError("alphas must not be negative")
        self._base_right = int((base.argmax(1) == self._labels).sum())
        self._steps, order = (1 / self._alphas).sort()
        self._back = order.argsort()
        self._base = base.T.contiguous()  # (D, n): reducing over rows is fast
        self._own = self._labels[None]
        # How far the true class is ahead of each; infinitely far of itself, which bounds nothing.
        self._ahead = self._base.gather(0, self._own) - self._base
        self._ahead.scatter_(0, self._own, torch.inf)
        # The classes that an image's own must overtake: few, where the base is any good.
        behind = (self._ahead < 0).flatten().nonzero().flatten()
        self._behind, self._image = behind, behind % len(base)

    def __call__(self, branch: Tensor) -> Tensor:
        """Return (A,) counts for a branch given as (D, n), classes first."""
        bounds = (branch - branch.gather(0, self._own)).div_(self._ahead)
        flat = bounds.view(-1)
        overtaken = flat[self._behind]
        flat.index_fill_(0, self._behind, -torch.inf)
        low = bounds.amax(0)  # 1 / alpha must be above this,
        high = torch.full_like(low, torch.inf)  # and below that
        high.scatter_reduce_(0, self._image, overtaken, "amin")
        first, first_too = self._place(low * (1 - _NEAR)), self._place(low * (1 + _NEAR))
        last, last_too = self._place(high * (1 - _NEAR)), self._place(high * (1 + _NEAR))
        # Two classes level in the base give inf, in the branch as well nan: neither is below inf.
        unsure = (first != first_too) | (last != last_too) | ~(low < torch.inf)
        last = last.maximum(first).masked_fill_(unsure, 0)
        first.masked_fill_(unsure, 0)
        size = len(self._steps) + 1
        ranges = torch.bincount(first, minlength=size) - torch.bincount(last, minlength=size)
        counts = ranges.cumsum(0)[self._back]
        for rows in unsure.nonzero().flatten().split(max(1, _BLOCK // branch.shape[0])):
            logits = self._base[:, rows, None] + branch[:, rows, None] * self._alphas
            counts += (logits.argmax(0) == self._labels[rows, None]).sum(0)
        return counts.masked_fill_(self._alphas == 0, self._base_right)

    def _place(self, bounds: Tensor) -> Tensor:
        return torch.bucketize(bounds, self._steps, right=True)


def search_scale(
    base: Tensor, branch: Tensor, labels: Tensor, alphas: Sequence[float] | Tensor
) -> Found:
    """Return the first alpha for which `base + alpha * branch` is right most often.

    Logits are (n, D), of validation images with labels (n,); no alpha is below 0.
    """
    counts = AlphaCounter(base, labels, alphas)(branch.T.contiguous())
    place = _first_best(counts)
    return Found(float(alphas[place]), float("nan"), int(counts[place]) / len(labels))


def search_alpha_beta(
    base: Tensor,
    affinity: Tensor,
    keys: Tensor,
    labels: Tensor,
    alphas: Sequence[float],
    betas: Sequence[float],
    weights: Tensor | None = None,
) -> Found:
    """Return the pair for which base + alpha * sum of exp(-beta (1 - affinity)) is best.

    Args:
        base: (n, D) logits of validation images that stay.
        affinity: (n, N) their cosines with the support images.
        keys: (N,) classes of the support images, in any order and number.
        labels: (n,) classes of the validation images.
        alphas: The inner grid.
        betas: The outer grid.
        weights: (N,) what each support image counts; 1 without.
    """
    classes, count = base.shape[1], affinity.shape[1]
    counts = torch.zeros(len(betas), len(alphas), dtype=torch.long, device=base.device)
    for rows in torch.arange(len(base), device=base.device).split(max(32, _BLOCK // count)):
        counter = AlphaCounter(base[rows], labels[rows], alphas)
        distance = (1 - affinity[rows]).T.contiguous()  # (N, rows)
        values, branch = torch.empty_like(distance), base.new_empty(classes, len(rows))
        for place, beta in enumerate(betas):
            torch.mul(distance, -beta, out=values).exp_()
            if weights is not None:
                values.mul_(weights[:, None])
            branch.zero_().index_add_(0, keys, values)
            counts[place] += counter(branch)
    place, inner = divmod(_first_best(counts.flatten()), len(alphas))
    return Found(alphas[inner], betas[place], int(counts[place, inner]) / len(labels))


def choose_scale(
    base: Tensor, branch: Tensor, labels: Tensor, alphas: Sequence[float] | Tensor
) -> float:
    """Return the alpha that is right most often, among equals that of the lowest cross-entropy.

    For selection on a handful of held-out images, logits (n, D) and labels (n,), where many alphas
    are equally often right and the first of them would be the one that hardly uses the branch.
    """
    return max(
        (float(alpha) for alpha in alphas), key=lambda alpha: quality(base + alpha * branch, labels)
    )


def quality(logits: Tensor, labels: Tensor) -> tuple[int, float]:
    """Return how many of (n, D) logits are right, and their cross-entropy, negated.

    It is rounded to a thousandth: below that the precision of the numbers would decide.
    """
    right = int((logits.argmax(1) == labels).sum())
    return right, -round(float(F.cross_entropy(logits, labels)), 3)


def _first_best(counts: Tensor) -> int:
    return int((counts == counts.max()).nonzero()[0])


def hold_out_one(labels: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Return positions of the support without and of one drawn image of each of its (N,) classes.

    The global random state is not touched.

    For selection without validation images: fit on the first, select on the second, fit on all.
    The idea of HOSO (arXiv 2603.04341).

    Raises:
        UserError: a class has a single image.
    """
    counts = torch.bincount(labels.cpu())
    if bool((counts == 1).any()):
        label = int((counts == 1).nonzero()[0])
        raise UserError(
            f"class {label} has a single support image, so none can be held out; give each class "
            "two at least, or validation images."
        )
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    shuffled = labels.cpu()[order]
    # A stable sort keeps the drawn order within a class: the first of each class is held out.
    grouped = order[shuffled.argsort(stable=True)]
    present = counts[counts > 0]
    held = grouped[present.cumsum(0) - present].sort().values
    mask = torch.ones(len(labels), dtype=torch.bool)
    mask[held] = False
    return mask.nonzero().flatten().to(labels.device), held.to(labels.device)


def held_out(data: Support, seed: int) -> tuple[Support, Labeled]:
    """Return the support without one drawn image of each class, and these; see `hold_out_one`."""
    kept, held = hold_out_one(data.labels, seed)
    smaller = replace(data, views=data.views[kept], labels=data.labels[kept])
    return smaller, (data.features[held], data.labels[held])
