"""Batches of pictures with classes: the texts of a batch are those of all classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from trifocal.data.batching import Tokenize, Transform
from trifocal.data.classes import prompts
from trifocal.data.labeled import ClassSample
from trifocal.data.samples import Skipped
from trifocal.data.shown import Showing, stacked

if TYPE_CHECKING:
    import numpy as np

    from trifocal.clip import ImageEmbedding, TextBatch
    from trifocal.clip.embeddings import Pictures


@dataclass
class ClassBatch:
    """B pictures, each of one of D classes."""

    pixels: Pictures  # (B, 3, H, W) uint8, which the model normalizes; or B embeddings
    text: TextBatch  # D prompts, one a class
    labels: Tensor  # (B,) long, 0..D-1
    ids: list[str]  # B names of samples
    sentences: list[str]  # the prompts, as the tower reads them
    # Samples that were to stand here but could not be read.
    skipped: list[Skipped] = field(default_factory=list)

    @property
    def size(self) -> int:
        """The number of pictures, B."""
        return len(self.pixels)

    def to(self, device: Any, non_blocking: bool = False) -> ClassBatch:
        """Return the batch with its tensors on `device`."""
        return replace(
            self,
            pixels=self.pixels.to(device, non_blocking=non_blocking),
            text=self.text.to(device, non_blocking=non_blocking),
            labels=self.labels.to(device, non_blocking=non_blocking),
        )

    def pin_memory(self) -> ClassBatch:
        """Return the batch in page-locked memory (a data loader calls this)."""
        return replace(self, pixels=self.pixels.pin_memory(), text=self.text.pin_memory())


@dataclass
class ClassBatching:
    """How samples become a `ClassBatch`."""

    tokenize: Tokenize  # prompts to a `TextBatch`
    # PIL image and generator to a uint8 tensor (3, H, W); not asked for tensors.
    transform: Transform
    template: str  # a prompt with a place for the class name
    flip: bool = False  # whether half of the pictures, drawn, are mirrored

    def __post_init__(self) -> None:
        self._classnames: tuple[str, ...] = ()
        self._sentences: list[str] = []
        self._text: Any = None

    @property
    def showing(self) -> Showing:
        """How a picture becomes pixels."""
        return Showing(self.transform, self.flip)

    def draw(
        self, sample: ClassSample, rng: np.random.Generator
    ) -> tuple[ClassSample, Tensor | ImageEmbedding]:
        """Return the sample and its pixels or embedding."""
        return sample, self.showing.shown(sample.image, rng)

    def collate(self, drawn: Sequence[tuple[ClassSample, Tensor | ImageEmbedding]]) -> ClassBatch:
        """Return the batch; prompts are tokenized when the first one is made."""
        classnames = drawn[0][0].classnames
        if classnames != self._classnames:
            self._classnames = classnames
            self._sentences = [one for name in classnames for one in prompts(name, [self.template])]
            self._text = self.tokenize(self._sentences).trimmed()
        return ClassBatch(
            pixels=stacked([pixels for _, pixels in drawn]),
            text=self._text,
            labels=torch.tensor([sample.label for sample, _ in drawn], dtype=torch.long),
            ids=[sample.id for sample, _ in drawn],
            sentences=self._sentences,
        )
