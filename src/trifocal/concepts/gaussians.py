"""Gaussian classes in the concept space: the nearest class mean, and what it says of unseen pictures.

Coordinates are whitened by the scatter within classes (`space`), so that Gaussians of one covariance
(linear discriminant analysis; Fisher, 1936; as GDA for few shots, Wang et al., ICLR 2024, arXiv
2402.04087) are the distances to class means: -|z - mean|² / 2, up to a scale. Nothing is trained.

A picture of the support is nearer to the mean that it is part of, and the scatter was made small where
it is. `leave_one_out` takes both away in closed form: the mean of its class without it, and the inverse
of a scatter that lacks one picture (Sherman and Morrison, 1950).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from trifocal.concepts.rows import class_sums


@dataclass(frozen=True)
class Gaussians:
    """Classes of one covariance, in coordinates where it is isotropic.

    Attributes:
        means: (D, k).
        counts: (D,) points that each is the mean of.
    """

    means: Tensor
    counts: Tensor

    @property
    def weights(self) -> Tensor:
        """(k, D), centered: what all classes have decides nothing."""
        return (self.means - self.means.mean(0)).T

    @property
    def biases(self) -> Tensor:
        """(D,), centered."""
        lengths = self.means.pow(2).sum(1) / -2
        return lengths - lengths.mean()

    def __call__(self, points: Tensor) -> Tensor:
        """Return (n, D) logits of points (n, k): half squared distances, up to a scale."""
        return torch.addmm(self.biases, points, self.weights)


def class_gaussians(points: Tensor, labels: Tensor, classes: int) -> Gaussians:
    """Return the Gaussians of D classes, each with a point among (N, k) of these labels (N,)."""
    counts = torch.bincount(labels, minlength=classes)
    return Gaussians(class_sums(points, labels, classes) / counts[:, None], counts)


def leave_one_out(gaussians: Gaussians, points: Tensor, labels: Tensor, scatter: float) -> Tensor:
    """Return (n, D) logits of support pictures, each as if it had not been among the support.

    Args:
        gaussians: Of all of the support.
        points: (n, k) whitened coordinates of some of it.
        labels: (n,) their classes; those with a single picture have no mean without it, and get the
            logits of `gaussians`.
        scatter: What the scatter within classes, shrinkage included, is times the identity in these
            coordinates; inf where no scatter was known.
    """
    means = gaussians.means
    counts = gaussians.counts[labels].to(points)
    away = points - means[labels]
    grown = torch.where(counts > 1, counts / (counts - 1).clamp_min(1), 1.0)  # of the own distance
    rows = torch.arange(len(points), device=points.device)
    lengths = means.square().sum(1)
    distances = torch.addmm(lengths, points, means.T, alpha=-2)
    distances.add_(points.square().sum(1, keepdim=True))
    along = torch.addmm((away * points).sum(1, keepdim=True), away, means.T, alpha=-1)
    distances[rows, labels] *= grown**2
    along[rows, labels] *= grown
    removed = grown * away.square().sum(1) / scatter  # below 1: a scatter has all of its parts
    more = grown / scatter / (1 - removed).clamp_min(1e-3)
    logits = along.square_().mul_(more[:, None]).add_(distances).div_(-2)
    return logits.sub_(logits.mean(1, keepdim=True))
