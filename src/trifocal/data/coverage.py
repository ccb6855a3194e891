"""How much of each cell of a grid boxes cover: the weights by which patches are pooled."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trifocal.data.boxes import clip_box
from trifocal.data.regions import Box


def coverage(boxes: Sequence[Box], size: tuple[int, int], grid: tuple[int, int]) -> np.ndarray:
    """Return (P,) weights of a picture's patches: the share of each that boxes cover, to the sum 1.

    Args:
        boxes: In pixels; what several cover counts for each.
        size: The picture's width and height.
        grid: Rows and columns of patches.
    """
    total = np.zeros(grid)
    for box in boxes:
        left, top, width, height = clip_box(box, size)
        across = _covered(left / size[0], (left + width) / size[0], grid[1])
        down = _covered(top / size[1], (top + height) / size[1], grid[0])
        total += down[:, None] * across
    return (total / total.sum()).ravel()


def _covered(start: float, end: float, count: int) -> np.ndarray:
    """Return (count,) how much of each of equal cells of [0, 1] an interval covers."""
    edges = np.arange(count + 1) / count
    return np.maximum(np.minimum(end, edges[1:]) - np.maximum(start, edges[:-1]), 0) * count
