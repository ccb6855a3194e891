"""Where in a picture a question is answered best: a window on what each of its patches says.

Patches are dense features of one pass of the tower (`features/dense.py`). What they say of any text at
all (their cosine with the mean of a background) is taken away. The window is the one whose patches
stand out most from the picture together,

    Σ_p in window (s_p − mean of s over the picture),

which grows as long as it takes in patches that fit better than the picture does: the window of the
highest mean is a small one on whichever patch is highest (benchmarks/search_quality.py compares them).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trifocal.clip import Clip
from trifocal.data.images import BadImage, open_image
from trifocal.data.picture_lists import ListedPicture
from trifocal.data.regions import Box
from trifocal.features.dense import patch_features
from trifocal.search.local import check_patches

WEIGHT = 0.25
"""What a window's mean counts in a rank beside the whole picture's cosine; alone it ranks worse."""

_SIDES = (0.25, 0.4, 0.6, 0.8, 1.0)  # of windows, as shares of the picture's sides
_STEP = 4  # a window moves by a quarter of its side


@dataclass(frozen=True)
class Window:
    """A part of a picture and how well it fits.

    Attributes:
        box: Left, top, width and height in the picture's pixels.
        score: Mean cosine of its patches with the question, above that with the background.
    """

    box: Box
    score: float


def windows(grid: tuple[int, int]) -> np.ndarray:
    """Return (W, 4) top, left, bottom and right of windows in a grid of rows and columns."""
    found = set()
    for high in _SIDES:
        for wide in _SIDES:
            if max(high, wide) > 2.5 * min(high, wide):
                continue
            h, w = max(1, round(high * grid[0])), max(1, round(wide * grid[1]))
            for top in _starts(grid[0], h):
                for left in _starts(grid[1], w):
                    found.add((top, left, top + h, left + w))
    return np.array(sorted(found))


def _starts(count: int, side: int) -> list[int]:
    step = max(1, side // _STEP)
    return sorted({*range(0, count - side + 1, step), count - side})


def best_window(fits: Tensor) -> tuple[np.ndarray, float]:
    """Return top, left, bottom and right of the window that stands out most, and its mean.

    Args:
        fits: (rows, columns) how well each patch fits.
    """
    rows, columns = fits.shape
    places = windows((rows, columns))
    sums = torch.zeros(rows + 1, columns + 1, dtype=torch.float64)
    sums[1:, 1:] = fits.double().cumsum(dim=0).cumsum(dim=1)
    top, left, bottom, right = torch.from_numpy(places).T
    inside = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
    areas = (bottom - top) * (right - left)
    best = int((inside - areas * sums[-1, -1] / fits.numel()).argmax())
    return places[best], float(inside[best] / areas[best])


def best_windows(
    clip: Clip,
    pictures: Sequence[ListedPicture],
    query: Tensor,
    background: Tensor | None = None,
) -> list[Window | None]:
    """Return the best window of each picture, None for one that cannot be read any more.

    Args:
        clip: The model; it must have patches.
        pictures: The hits.
        query: (D,) unit embedding of the question.
        background: (D,) mean of what the question is set against; see the top.

    Raises:
        UserError: the model has pooled features only.
    """
    check_patches(clip)
    against = query if background is None else query - background
    made: list[Window | None] = []
    for one in pictures:
        try:
            picture = open_image(one.content(), name=one.name)
        except (BadImage, OSError):
            made.append(None)
            continue
        fits = patch_features(clip, [picture])[0] @ against
        (top, left, bottom, right), score = best_window(fits)
        x, y = picture.width / fits.shape[1], picture.height / fits.shape[0]
        width, height = (right - left) * x, (bottom - top) * y
        made.append(Window((float(left * x), float(top * y), float(width), float(height)), score))
    return made
