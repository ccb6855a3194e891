"""Does a map find what it is asked for? Two measures of the field against boxes.

The *pointing game* (Zhang et al., IJCV 2018, arXiv 1608.00507): is the brightest patch inside? The area
under the ROC curve: how often is a patch inside brighter than one outside, 50 % by chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from trifocal.metrics.average_precision import roc_auc

UnitBox = tuple[float, float, float, float]  # left, top, right, bottom as shares of a picture


@dataclass(frozen=True)
class MapScore:
    """How well one map finds its boxes.

    Attributes:
        auc: Area under the ROC curve over patches.
        hit: Share of the brightest patches that are inside; 0 or 1 where there is one.
        share: Share of all patches that are.
    """

    auc: float
    hit: float
    share: float


def map_score(similarity: Tensor, boxes: Sequence[UnitBox]) -> MapScore | None:
    """Return how well a map (rows, columns) finds boxes; None where they hold no patch, or all."""
    there = inside(boxes, *similarity.shape)
    if not there.any() or there.all():
        return None
    brightest = similarity == similarity.max()
    return MapScore(
        roc_auc(similarity.flatten(), there.flatten()),
        float(there[brightest].float().mean()),
        float(there.float().mean()),
    )


def inside(boxes: Sequence[UnitBox], rows: int, columns: int) -> Tensor:
    """Return (rows, columns) bools: whose patches' centers are in a box."""
    y, x = ((torch.arange(count) + 0.5) / count for count in (rows, columns))
    found = torch.zeros(rows, columns, dtype=torch.bool)
    for left, top, right, bottom in boxes:
        found |= ((y >= top) & (y <= bottom))[:, None] & ((x >= left) & (x <= right))
    return found
