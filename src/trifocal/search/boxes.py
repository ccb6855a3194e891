"""Where in a picture a question is answered best: windows of several sizes, from one pass of the tower.

A window is the mean of the patches under it (`features/dense.py`). What a window says of any text at
all (its cosine with the mean of a background) is taken away, since small windows on textured ground
would be like everything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from trifocal.clip import Clip
from trifocal.data.images import BadImage, open_image
from trifocal.data.picture_lists import ListedPicture
from trifocal.data.regions import Box
from trifocal.features.dense import patch_features
from trifocal.search.local import check_patches

_SIDES = (0.25, 0.4, 0.6, 1.0)  # of windows, as shares of the picture's sides
_STEP = 4  # a window moves by a quarter of its side


@dataclass(frozen=True)
class Window:
    """A part of a picture and how well it fits.

    Attributes:
        box: Left, top, width and height in the picture's pixels.
        score: Its cosine with the question, above its cosine with the background.
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


def pooled_windows(patches: Tensor, places: np.ndarray) -> Tensor:
    """Return (W, D) unit means of patches (rows, columns, D) under windows (W, 4)."""
    sums = torch.zeros(patches.shape[0] + 1, patches.shape[1] + 1, patches.shape[2])
    sums[1:, 1:] = patches.cumsum(dim=0).cumsum(dim=1)
    top, left, bottom, right = torch.from_numpy(places).T
    means = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
    return normalize(means, dim=-1)


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
        patches = patch_features(clip, [picture])[0]
        rows, columns = patches.shape[:2]
        places = windows((rows, columns))
        scores = pooled_windows(patches, places) @ against
        best = int(scores.argmax())
        top, left, bottom, right = places[best].tolist()
        x, y = picture.width / columns, picture.height / rows
        box = (left * x, top * y, (right - left) * x, (bottom - top) * y)
        made.append(Window(box, float(scores[best])))
    return made
