"""Parts of a picture in the joint space: its patches, and boxes as the mean of theirs.

One pass of the tower for any number of boxes (`clip.dense` says how patches are made to say
something). The picture is stretched to the tower's input, so that boxes keep their places.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from trifocal.clip import Clip
from trifocal.clip.dense import DENSE_ATTENTION, DenseAttention, dense_features
from trifocal.data.coverage import coverage
from trifocal.data.regions import Box


def stretched(clip: Clip, picture: Image.Image, zoom: float = 1.0) -> Tensor:
    """Return the whole picture as uint8 pixels (3, H, W) for a Clip, whatever its proportions.

    H and W are `zoom` times what the Clip was trained on, to the nearest whole patch: a finer grid
    for the price of as many more patches.
    """
    side = clip.patch_size
    rows, columns = (max(1, round(zoom * count)) for count in clip.patch_grid)
    size = (columns * side, rows * side)
    shown = picture.convert("RGB").resize(size, Image.Resampling.BICUBIC)
    return torch.from_numpy(np.asarray(shown).copy()).permute(2, 0, 1)


def patch_features(
    clip: Clip,
    pictures: Sequence[Image.Image],
    attention: DenseAttention = DENSE_ATTENTION,
    *,
    zoom: float = 1.0,
    batch_size: int = 32,
) -> Tensor:
    """Return (B, rows, columns, D) float32 unit features on the CPU; see `stretched` for `zoom`."""
    made = []
    for start in range(0, len(pictures), batch_size):
        some = [stretched(clip, one, zoom) for one in pictures[start : start + batch_size]]
        made.append(dense_features(clip, torch.stack(some), attention).cpu())
    return torch.cat(made)


def box_features(patches: Tensor, boxes: Sequence[Box], size: tuple[int, int]) -> Tensor:
    """Return (R, D) unit features of R boxes of a picture, each the mean of the patches under it.

    Args:
        patches: (rows, columns, D) of the whole picture.
        boxes: In its pixels; a patch counts by the area of it that the box covers.
        size: The picture's width and height.
    """
    rows, columns, _ = patches.shape
    weights = np.stack([coverage([box], size, (rows, columns)) for box in boxes])
    return F.normalize(torch.from_numpy(weights).to(patches) @ patches.flatten(0, 1), dim=-1)
