"""The space that concepts span: where pictures are compared by what concepts tell of them.

A picture's scores for I concepts are U (x - m). Concepts repeat one another (dog, puppy, hound), so
raw scores count what many concepts share many times over; half-decorrelating them (the fourth root
of their covariance) keeps what concepts emphasize without drowning the rest. Then the scatter
within classes is whitened, as linear discriminant analysis does (the shrinkage is that of GDA,
Wang et al., ICLR 2024, arXiv 2402.04087), so that directions in which pictures of one class differ
count less. Everything is linear in x up to its length, so the parts of a picture add up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from trifocal.concepts.rows import class_sums
from trifocal.concepts.support import unit

_FLOOR = 1e-2  # share of the largest variance that every direction has at least


@dataclass(frozen=True)
class ConceptSpace:
    """From features to coordinates in which a Gaussian prior has one width for all weights."""

    center: Tensor  # (d,) m, the mean of the support
    metric: Tensor  # (d, d) symmetric; concepts' covariance to the power 1/4
    # (d, d) a root of the inverse scatter within classes, at length one on average.
    whitening: Tensor
    # What the scatter is in these coordinates, shrinkage included: so many times the identity.
    scatter: float = math.inf

    def __call__(self, features: Tensor) -> Tensor:
        """Return (n, d) coordinates of unit features."""
        return unit((features - self.center) @ self.metric) @ self.whitening


def concept_space(
    support: Tensor, views: Tensor, labels: Tensor, concepts: Tensor | None, shrinkage: float
) -> ConceptSpace:
    """Return the space of concepts (I, d), or of none, made discriminative by labeled images.

    Support (N, d) and views (N, V, d) are unit features; with one image a class the views are
    all that tells how pictures of one class differ. `shrinkage` is the isotropic part of the
    scatter, in mean squared deviations; 1 is GDA's.
    """
    center = support.mean(0)
    identity = torch.eye(support.shape[1], dtype=support.dtype, device=support.device)
    metric = identity if concepts is None else emphasis(concepts)
    return whitened(ConceptSpace(center, metric, identity), support, views, labels, shrinkage)


def whitened(
    space: ConceptSpace, support: Tensor, views: Tensor, labels: Tensor, shrinkage: float
) -> ConceptSpace:
    """Return a space with the whitening of other images instead of its own; see `concept_space`."""
    identity = torch.eye(support.shape[1], dtype=support.dtype, device=support.device)
    plain = replace(space, whitening=identity)
    whitening, scatter = _whitening(
        plain(support), plain(views.flatten(0, 1)), labels, shrinkage, identity
    )
    return replace(space, whitening=whitening, scatter=scatter)


def emphasis(concepts: Tensor) -> Tensor:
    """Return the (d, d) fourth root of the concepts' covariance, its largest eigenvalue 1."""
    values, vectors = _spectrum(concepts)
    return (vectors * (values + _FLOOR).pow(0.25)) @ vectors.T


def _spectrum(concepts: Tensor) -> tuple[Tensor, Tensor]:
    """Return eigenvalues of the concepts' scatter over the largest, and eigenvectors."""
    centered = concepts - concepts.mean(0)
    scatter = centered.T @ centered
    # Concepts that are all alike differ by rounding, which is no scatter (and breaks eigh).
    if float(scatter.trace()) < torch.finfo(scatter.dtype).eps * len(concepts):
        scatter = torch.zeros_like(scatter)
    values, vectors = torch.linalg.eigh(scatter)
    return (values / values[-1].clamp_min(torch.finfo(values.dtype).tiny)).clamp_min(0), vectors


def _whitening(
    points: Tensor, views: Tensor, labels: Tensor, shrinkage: float, identity: Tensor
) -> tuple[Tensor, float]:
    classes = int(labels.max()) + 1
    counts = torch.bincount(labels, minlength=classes).clamp_min(1)[:, None]
    sums = class_sums(points, labels, classes)
    repeats = len(views) // len(points)
    deviations = views - (sums / counts)[labels.repeat_interleave(repeats)]
    scatter = deviations.T @ deviations / repeats
    mean = float(scatter.trace()) / len(points)
    if mean < 1e-6:  # one image a class, one view: nothing is known of the scatter
        return identity, math.inf
    # A prior that is alike in all directions does not mind which of all roots this is.
    root = torch.linalg.cholesky(scatter / mean + shrinkage * identity)
    whitening = torch.linalg.solve_triangular(root, identity, upper=False).T
    length = float((points @ whitening).pow(2).sum(1).mean().sqrt())
    return whitening / length, mean / length**2
