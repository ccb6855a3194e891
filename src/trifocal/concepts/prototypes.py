"""Classes by their pictures: what asks for a class where no text does.

A class is the mean of its support pictures, made discriminative as in GDA (Wang et al., ICLR 2024, arXiv
2402.04087): divided by the scatter within classes, shrunken towards a sphere. The mean of all pictures
is taken out, since every picture has it, so that cosines tell classes apart.
"""

from __future__ import annotations

import torch
from torch import Tensor

from trifocal.concepts.rows import class_sums
from trifocal.concepts.support import Support, unit


def class_prototypes(data: Support) -> Tensor:
    """Return (D, d) unit rows whose product with a unit feature says how much it is of each class."""
    x, labels = data.features, data.labels
    center = x.mean(0)
    means = class_sums(x, labels, data.classes) / data.counts[:, None]
    views = unit(data.views)
    away = (views - means[labels][:, None]).flatten(0, 1)
    scatter = away.T @ away / views.shape[1]
    spread = float(scatter.trace()) / len(x)
    asked = means - center
    if spread > 1e-6:  # otherwise one picture a class in one view, which tells of no scatter
        scatter.diagonal().add_(spread)
        asked = torch.linalg.solve(scatter, asked.T).T
    common = unit(center)
    return unit(asked - (asked @ common)[:, None] * common)
