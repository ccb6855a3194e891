"""Parts: what views of one picture differ in, and a metric in which that counts less.

A picture holds several things, and a whole-picture feature leans to whichever of them is large. Views
of a picture (random crops) show more of the one and less of the other, so the directions in which
they leave their picture's mean are those of its parts, whatever its class; no text and no label is
needed to see them. Scores of many parts repeat one another, and in few pictures the parts that
happen to be large decide what looks alike. Weighing down the directions in which pictures differ from
themselves, by the fourth root of their covariance, leaves what differs between pictures.

It is the opposite of what concepts do (`space`), which weigh up the directions that they span. The idea
that variation within an instance is nuisance is within-class covariance normalization's (Hatch et
al., Interspeech 2006), with a picture for a speaker; the root is ours.
"""

from __future__ import annotations

import torch
from torch import Tensor

from trifocal.errors import UserError

_FLOOR = 1e-2  # share of the largest variance that every direction has at least


def parts_metric(views: Tensor) -> Tensor:
    """Return the (d, d) inverse fourth root of the covariance of views about their own pictures.

    Its smallest eigenvalue is about 1: the direction in which parts differ most keeps its length.

    Args:
        views: (N, V, d) unit features of V views of each of N pictures.

    Raises:
        UserError: there is one view a picture, or all are alike.
    """
    deviations = (views - views.mean(1, keepdim=True)).flatten(0, 1)
    scatter = deviations.T @ deviations
    if float(scatter.trace()) < 1e-6 * len(deviations):
        raise UserError(
            "parts are seen in several views of each picture, and there is one, or all are alike; "
            "fit to views (--views 10), or take another kind of visual concepts."
        )
    values, vectors = torch.linalg.eigh(scatter)
    values = (values / values[-1]).clamp_min(0)
    return (vectors * (values + _FLOOR).pow(-0.25)) @ vectors.T
