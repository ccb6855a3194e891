"""The space that concepts span: where pictures are compared by what concepts tell of them.

A picture's scores for I concepts are U (x - m). Concepts repeat one another (dog, puppy, hound), so
raw scores count what many concepts share many times over; half-decorrelating them (the fourth root
of their covariance) keeps what concepts emphasize without drowning the rest. A power of 0 in place of
1/4 leaves pictures as they are, 1/2 takes scores as they are; what is left of a picture's length is a
power, too (`likely_space` chooses both). Then the scatter within classes is whitened, as linear
discriminant analysis does (the shrinkage is that of GDA, Wang et al., ICLR 2024, arXiv 2402.04087), so
that directions in which pictures of one class differ count less. Everything is linear in x up to its
length, so the parts of a picture add up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from trifocal.concepts.rows import class_sums
from trifocal.concepts.support import unit

_FLOOR = 1e-2  # share of the largest variance that every direction has at least
POWER = 0.25  # of the concepts' covariance, where nothing tells


@dataclass(frozen=True)
class ConceptSpace:
    """From features to coordinates in which a Gaussian prior has one width for all weights."""

    center: Tensor  # (d,) m, the mean of the support
    metric: Tensor  # (d, k) whose square M Mᵀ is the concepts' covariance to twice the power
    # (k, k) a root of the inverse scatter within classes, at length one on average.
    whitening: Tensor
    # What the scatter is in these coordinates, shrinkage included: so many times the identity.
    scatter: float = math.inf
    power: float = POWER  # of the concepts' covariance, which made the metric
    length: float = 0.0  # the power of its length that a point keeps; 0 makes points unit

    def bare(self, features: Tensor) -> Tensor:
        """Return (n, k) coordinates of unit features before whitening."""
        return kept_length((features - self.center) @ self.metric, self.length)

    def __call__(self, features: Tensor) -> Tensor:
        """Return (n, k) coordinates of unit features."""
        return self.bare(features) @ self.whitening


def kept_length(points: Tensor, power: float) -> Tensor:
    """Return rows whose lengths are raised to a power."""
    if power == 1:
        return points
    return unit(points) * points.norm(dim=1, keepdim=True) ** power if power else unit(points)


def powered(values: Tensor, vectors: Tensor, power: float) -> Tensor:
    """Return the metric (d, d) of a covariance with these eigenvalues and eigenvectors."""
    return vectors * (values + _FLOOR).pow(power)


def spectrum(concepts: Tensor) -> tuple[Tensor, Tensor]:
    """Return eigenvalues of the concepts' scatter over the largest, and eigenvectors."""
    centered = concepts - concepts.mean(0)
    scatter = centered.T @ centered
    # Concepts that are all alike differ by rounding, which is no scatter (and breaks eigh).
    if float(scatter.trace()) < torch.finfo(scatter.dtype).eps * len(concepts):
        scatter = torch.zeros_like(scatter)
    values, vectors = torch.linalg.eigh(scatter)
    return (values / values[-1].clamp_min(torch.finfo(values.dtype).tiny)).clamp_min(0), vectors


@dataclass(frozen=True)
class Root:
    """A root (k, k) of the inverse scatter within classes, and what the scatter is times 1 then."""

    whitening: Tensor
    scatter: float


@dataclass(frozen=True)
class Rooted:
    """Points (N, k) in coordinates in which their scatter within classes is round."""

    points: Tensor
    root: Root


def rooted(points: Tensor, views: Tensor, labels: Tensor, shrinkage: float) -> Rooted:
    """Return points (N, k) whitened.

    `views` (N V, k) are the points of all views, those of a picture together. Where nothing is known of
    the scatter, one picture a class in one view, points stay, and the scatter is infinite.
    """
    identity = torch.eye(points.shape[1], dtype=points.dtype, device=points.device)
    classes = int(labels.max()) + 1
    counts = torch.bincount(labels, minlength=classes).clamp_min(1)[:, None]
    means = class_sums(points, labels, classes) / counts
    repeats = len(views) // len(points)
    deviations = views - means[labels.repeat_interleave(repeats)]
    scatter = deviations.T @ deviations / repeats
    mean = float(scatter.trace()) / len(points)
    if mean < 1e-6:
        return Rooted(points, Root(identity, math.inf))
    # A prior that is alike in all directions does not mind which of all roots this is.
    root = torch.linalg.cholesky(scatter / mean + shrinkage * identity)
    whitening = torch.linalg.solve_triangular(root, identity, upper=False).T
    white = points @ whitening
    length = float(white.pow(2).sum(1).mean().sqrt())
    return Rooted(white / length, Root(whitening / length, mean / length**2))
