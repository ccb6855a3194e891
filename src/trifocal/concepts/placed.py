"""A support in a space: its coordinates, whitened by its own scatter, and the classes' Gaussians there.

`Places` has one support in all spaces of a frame of axes. Coordinates along the axes are found once; a
power of the concepts' covariance stretches them, and one of their length shortens them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from trifocal.concepts.gaussians import Gaussians, class_gaussians, leave_one_out
from trifocal.concepts.space import ConceptSpace, kept_length, powered, rooted, spectrum
from trifocal.concepts.support import Support, unit

COLD = 0.1  # what the Gaussians' own scale is multiplied by, where nothing tells


@dataclass(frozen=True)
class Placed:
    """A support in a space.

    Attributes:
        space: From features to coordinates.
        bare: (N, k) coordinates before whitening.
        views: (N V, k) those of all views.
        points: (N, k) coordinates.
        labels: (N,) classes.
        gaussians: The classes' Gaussians.
    """

    space: ConceptSpace
    bare: Tensor
    views: Tensor
    points: Tensor
    labels: Tensor
    gaussians: Gaussians

    @property
    def known(self) -> bool:
        """Whether there was any scatter within classes to whiten by."""
        return math.isfinite(self.space.scatter)

    @property
    def usual_scale(self) -> float:
        """What the Gaussians' logits are to be multiplied by, where nothing tells."""
        free = max(1, len(self.points) - len(self.gaussians.means))
        return COLD * free / self.space.scatter

    def alone(self, rows: Tensor) -> Tensor:
        """Return (n, D) logits by Gaussians of some pictures (n,), each without it."""
        given = (self.points[rows], self.labels[rows], self.space.scatter)
        return leave_one_out(self.gaussians, *given)


def placed(
    space: ConceptSpace, bare: Tensor, views: Tensor, labels: Tensor, classes: int, shrinkage: float
) -> Placed:
    """Return a support, whose coordinates before whitening are given, in a space of its own whitening."""
    white = rooted(bare, views, labels, shrinkage)
    space = replace(space, **vars(white.root))
    gaussians = class_gaussians(white.points, labels, classes)
    return Placed(space, bare, views, white.points, labels, gaussians)


@dataclass(frozen=True)
class Frame:
    """Axes that a space's coordinates are measured along, about the support's mean.

    Attributes:
        center: (d,).
        axes: (d, k).
        variances: (k,) of concepts along the axes, which powers of it stretch; None for axes as they are.
    """

    center: Tensor
    axes: Tensor
    variances: Tensor | None = None

    def metric(self, power: float) -> Tensor:
        """Return the axes (d, k), stretched."""
        return self.axes if self.variances is None else powered(self.variances, self.axes, power)


def concept_frame(support: Tensor, concepts: Tensor | None) -> Frame:
    """Return the principal axes of concepts (I, d), or without concepts the features' own."""
    center = support.mean(0)
    if concepts is None:
        return Frame(center, torch.eye(support.shape[1]).to(support))
    variances, axes = spectrum(concepts)
    return Frame(center, axes, variances)


class Places:
    """A support in the spaces of one frame."""

    def __init__(self, frame: Frame, data: Support, shrinkage: float) -> None:
        self._frame, self._shrinkage = frame, shrinkage
        self._labels, self._classes = data.labels, data.classes
        self._support = (data.features - frame.center) @ frame.axes
        views = unit(data.views.flatten(0, 1)) if data.views.shape[1] > 1 else None
        self._views = None if views is None else (views - frame.center) @ frame.axes

    def at(self, power: float, length: float) -> Placed:
        """Return it with a power of the concepts' covariance, and one of a point's length."""
        frame, points, views = self._frame, self._support, self._views
        metric, stretch = frame.metric(power), 1.0
        if frame.variances is not None:
            stretch = powered(frame.variances, torch.ones_like(frame.variances), power)
        if length:  # points keep a length of one on average
            size = float((points * stretch).norm(dim=1).mean())
            metric, stretch = metric / size, stretch / size
        bare = kept_length(points * stretch, length)
        spread = bare if views is None else kept_length(views * stretch, length)
        whitening = torch.eye(bare.shape[1], dtype=bare.dtype, device=bare.device)
        space = ConceptSpace(frame.center, metric, whitening, power=power, length=length)
        return placed(space, bare, spread, self._labels, self._classes, self._shrinkage)
