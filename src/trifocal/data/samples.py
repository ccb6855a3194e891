"""What a source yields and what a method is given: one sample, and one batch of captions.

A source is anything with `__len__` and `sample(index, rng)`. The generator it is handed is made
from (seed, epoch, index), so that what is drawn never depends on workers or processes.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image
    from torch import Tensor

    from trifocal.clip.embeddings import TextBatch


@dataclass
class Sample:
    """One picture with the caption drawn for it.

    Attributes:
        id: Names the sample in logs and error messages.
        image: A PIL image, still to be cropped, or a ready uint8 tensor (3, H, W).
        caption: The sentence that goes with it.
        negatives: Hard negatives written ahead for this caption, if its table has any.
    """

    id: str
    image: Image.Image | Tensor
    caption: str
    negatives: tuple[str, ...] = ()


class Source(Protocol):
    """A map-style collection of captioned pictures."""

    def __len__(self) -> int: ...

    def sample(self, index: int, rng: np.random.Generator) -> Sample:
        """Draw sample `index`; raises `trifocal.data.images.BadImage` for an unreadable one."""
        ...


@dataclass(frozen=True)
class Skipped:
    """A sample that could not be read, and why."""

    id: str
    reason: str


@dataclass
class CaptionBatch:
    """B captioned pictures and M hard negatives of their captions.

    Attributes:
        pixels: (B, 3, H, W) uint8; the model normalizes.
        text: B + M rows: the captions, then the negatives, kind by kind, in sample order.
        owner: (M,) long, the sample in 0..B-1 a negative belongs to.
        kind: (M,) long, which kind of negative it is.
        ids: B names of samples.
        captions: B sentences.
        negatives: M sentences.
        skipped: Samples that were to stand here but could not be read.
    """

    pixels: Tensor
    text: TextBatch
    owner: Tensor
    kind: Tensor
    ids: list[str]
    captions: list[str]
    negatives: list[str] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)

    @property
    def size(self) -> int:
        """The number of pictures, B."""
        return self.pixels.shape[0]

    def to(self, device, non_blocking: bool = False) -> CaptionBatch:
        """Return the batch with its tensors on `device`."""
        return replace(
            self,
            pixels=self.pixels.to(device, non_blocking=non_blocking),
            text=self.text.to(device, non_blocking=non_blocking),
            owner=self.owner.to(device, non_blocking=non_blocking),
            kind=self.kind.to(device, non_blocking=non_blocking),
        )

    def pin_memory(self) -> CaptionBatch:
        """Return the batch in page-locked memory (a data loader calls this)."""
        return replace(self, pixels=self.pixels.pin_memory(), text=self.text.pin_memory())
