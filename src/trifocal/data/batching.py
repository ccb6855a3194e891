"""How drawn samples become a batch: what a batch must offer, and how pictures are cropped for it.

The engine knows the two protocols alone; each focus has batches of its own. Drawing happens sample
by sample with the sample's own generator, in a data worker; collating once a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from trifocal.clip.embeddings import Pictures, TextBatch
    from trifocal.clip.preprocess import Preprocess
    from trifocal.data.samples import Skipped

Tokenize = Callable[[list[str]], "TextBatch"]
Transform = Callable[["Image.Image", "np.random.Generator"], torch.Tensor]


class Batch(Protocol):
    """What the engine needs of a batch: B samples as pictures (V, 3, H, W) and texts (T rows).

    Where a frozen tower saw the pictures before, their embeddings stand for them.
    Objectives decide what the rows are; V and T may each be any multiple of B and more.
    """

    pixels: Pictures
    text: TextBatch
    ids: list[str]
    skipped: list[Skipped]

    def to(self, device: Any, non_blocking: bool = False) -> Any:
        """Return the batch with its tensors on `device`."""
        ...


class Batching(Protocol):
    """How samples become a batch."""

    def draw(self, sample: Any, rng: np.random.Generator) -> Any:
        """Make what is particular to one sample; the generator is the sample's own."""
        ...

    def collate(self, drawn: Sequence[Any]) -> Any:
        """Join what `draw` made into a `Batch`."""
        ...


@dataclass(frozen=True)
class RandomCrop:
    """The training transform: a random crop of a random size, brought to the model's size."""

    preprocess: Preprocess
    scale: tuple[float, float] = (0.9, 1.0)

    def __call__(self, image: Image.Image, rng: np.random.Generator) -> torch.Tensor:
        return self.preprocess.train_crop(image, rng, self.scale)


@dataclass(frozen=True)
class CenterCrop:
    """The evaluation transform, for training without augmentation."""

    preprocess: Preprocess

    def __call__(self, image: Image.Image, rng: np.random.Generator) -> torch.Tensor:
        return self.preprocess(image)
