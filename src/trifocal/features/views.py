"""Views of pictures that a frozen tower embeds for training: which ones, and what decides them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trifocal.clip import Clip
from trifocal.data.samples import PictureSource
from trifocal.data.shown import Showing
from trifocal.features.identity import content_hash

FORMAT = "trifocal-views-1"


@dataclass(frozen=True)
class ViewPlan:
    """Which views of pictures are embedded, and what is kept of them.

    Attributes:
        showing: How a picture becomes pixels.
        views: How many of each picture.
        seed: Of the draws; a view depends on it, the picture and its own number.
        dense: Whether patches are kept, too.
        patches: The numbers that they are kept in.
    """

    showing: Showing
    views: int = 1
    seed: int = 0
    dense: bool = False
    patches: torch.dtype = torch.float32

    def facts(self, clip: Clip) -> dict[str, Any]:
        """Return all that decides an embedding beside the picture, as plain data."""
        drawn = {"views": self.views, "seed": self.seed} if self.showing.is_random else {"views": 1}
        tower = clip.image_fingerprint()
        return {"format": FORMAT, "tower": tower, "showing": repr(self.showing), **drawn}

    def shapes(self, clip: Clip) -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
        """Return what is kept of one picture: shape and numbers, by name."""
        width, (rows, columns) = clip.embed_dim, clip.patch_grid
        kept: dict[str, tuple[tuple[int, ...], torch.dtype]] = {}
        kept["pooled"] = ((self.views, width), torch.float32)
        if self.dense:
            kept["patches"] = ((self.views, rows * columns, width), self.patches)
        return kept

    def take(self, source: PictureSource, index: int) -> Tensor:
        """Return the views (V, 3, H, W) of a picture.

        Raises:
            BadImage: it cannot be read.
        """
        image = source.picture(index)
        content = image.numpy().tobytes() if isinstance(image, Tensor) else image.tobytes()
        words = np.frombuffer(content_hash(content)[:16], np.uint32).tolist()
        return torch.stack(
            [
                self.showing(image, np.random.default_rng([self.seed, number, *words]))
                for number in range(self.views)
            ]
        )
