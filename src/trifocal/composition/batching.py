"""Batches of captioned pictures, and of hard negatives of their captions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from trifocal.data.batching import Tokenize, Transform
from trifocal.data.samples import Sample, Skipped
from trifocal.data.shown import Showing, stacked

if TYPE_CHECKING:
    import numpy as np

    from trifocal.clip import ImageEmbedding, TextBatch
    from trifocal.clip.embeddings import Pictures

Negatives = Callable[[str, "np.random.Generator"], Mapping[str, str | None]]

TABLE = "table"  # the kind of negatives which comes from the caption table itself


@dataclass
class CaptionBatch:
    """B captioned pictures and M hard negatives of their captions."""

    pixels: Pictures  # (B, 3, H, W) uint8, which the model normalizes; or B embeddings
    text: TextBatch  # B + M rows: the captions, then the negatives, kind by kind, in sample order
    owner: Tensor  # (M,) long, the sample in 0..B-1 a negative belongs to
    kind: Tensor  # (M,) long, which kind of negative it is
    ids: list[str]  # B names of samples
    captions: list[str]  # B sentences
    negatives: list[str] = field(default_factory=list)  # M sentences
    # Samples that were to stand here but could not be read.
    skipped: list[Skipped] = field(default_factory=list)

    @property
    def size(self) -> int:
        """The number of pictures, B."""
        return len(self.pixels)

    def to(self, device: Any, non_blocking: bool = False) -> CaptionBatch:
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


@dataclass(frozen=True)
class CaptionBatching:
    """Captioned pictures, and hard negatives of their captions.

    Attributes:
        tokenize: Captions to a `TextBatch`.
        transform: PIL image and generator to a uint8 tensor (3, H, W); not asked for tensors.
        negatives: Caption and generator to a mapping from kind to hard negative, or None.
        kinds: The kinds of negatives wanted, in the order of their numbers. "table" takes one of
            those written ahead in the caption table.
    """

    tokenize: Tokenize
    transform: Transform | None = None
    negatives: Negatives | None = None
    kinds: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.negatives is None and set(self.kinds) - {TABLE}:
            raise ValueError(f"negatives of kinds {self.kinds} are wanted, but nothing makes them")

    @property
    def showing(self) -> Showing:
        """How a picture becomes pixels."""
        return Showing(self.transform)

    def draw(
        self, sample: Sample, rng: np.random.Generator
    ) -> tuple[Sample, Tensor | ImageEmbedding, list[str | None]]:
        """Return the sample, its pixels or embedding, and one hard negative a kind.

        Negatives are drawn last, so that crops do not depend on them.
        """
        return sample, self.showing.shown(sample.image, rng), self._negatives(sample, rng)

    def collate(
        self, drawn: Sequence[tuple[Sample, Tensor | ImageEmbedding, list[str | None]]]
    ) -> CaptionBatch:
        """Return the batch: captions first, then the negatives, kind by kind."""
        captions = [sample.caption for sample, _, _ in drawn]
        owners, kinds, negatives = [], [], []
        for kind in range(len(self.kinds)):
            for owner, (_, _, made) in enumerate(drawn):
                if made[kind] is not None:
                    owners.append(owner)
                    kinds.append(kind)
                    negatives.append(made[kind])
        return CaptionBatch(
            pixels=stacked([pixels for _, pixels, _ in drawn]),
            text=self.tokenize(captions + negatives).trimmed(),
            owner=torch.tensor(owners, dtype=torch.long),
            kind=torch.tensor(kinds, dtype=torch.long),
            ids=[sample.id for sample, _, _ in drawn],
            captions=captions,
            negatives=negatives,
        )

    def _negatives(self, sample: Sample, rng: np.random.Generator) -> list[str | None]:
        made: Mapping[str, str | None] = {}
        if self.negatives is not None and set(self.kinds) - {TABLE}:
            made = self.negatives(sample.caption, rng)
        written = sample.negatives
        table = (
            written[int(rng.integers(len(written)))] if TABLE in self.kinds and written else None
        )
        return [table if kind == TABLE else made.get(kind) for kind in self.kinds]
