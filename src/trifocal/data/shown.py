"""What a batch shows of each picture: pixels, as training crops them, or what a tower made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from trifocal.clip.embeddings import ImageEmbedding, Pictures
from trifocal.data.batching import CenterCrop, Transform

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image


@dataclass(frozen=True)
class Showing:
    """How a picture becomes pixels in training.

    Attributes:
        transform: PIL image and generator to a uint8 tensor (3, H, W); not asked for tensors.
        flip: Whether half of the pictures, drawn, are mirrored.
    """

    transform: Transform | None = None
    flip: bool = False

    @property
    def is_random(self) -> bool:
        """Whether a picture may look different each time."""
        return self.flip or not (self.transform is None or isinstance(self.transform, CenterCrop))

    def __call__(self, image: Image.Image | Tensor, rng: np.random.Generator) -> Tensor:
        if isinstance(image, Tensor):
            pixels = image
        elif self.transform is None:
            raise ValueError("the source yields PIL images, so a transform is needed")
        else:
            pixels = self.transform(image, rng)
        return pixels.flip(-1) if self.flip and rng.random() < 0.5 else pixels

    def shown(
        self, image: Image.Image | Tensor | ImageEmbedding, rng: np.random.Generator
    ) -> Tensor | ImageEmbedding:
        """Return a picture's pixels (3, H, W), or its embedding, of one row, where that is there."""
        return image if isinstance(image, ImageEmbedding) else self(image, rng)


def stacked(pictures: Sequence[Tensor | ImageEmbedding]) -> Pictures:
    """Return the pictures of a batch as one: all of them pixels, or all of them embeddings."""
    pixels = [one for one in pictures if isinstance(one, Tensor)]
    if pixels:
        return torch.stack(pixels)
    rows = [one for one in pictures if isinstance(one, ImageEmbedding)]
    patches = [one.patches for one in rows if one.patches is not None]
    return ImageEmbedding(
        torch.cat([one.pooled for one in rows]), torch.cat(patches) if patches else None
    )
