"""How drawn samples become a batch: what a batch must offer, and batches of captioned pictures.

The engine knows the two protocols alone; a method says which batching it wants. Drawing happens
sample by sample with the sample's own generator, in a data worker; collating once a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch

from trifocal.data.samples import CaptionBatch, Sample, Skipped

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from trifocal.clip.embeddings import TextBatch
    from trifocal.clip.preprocess import Preprocess

Tokenize = Callable[[list[str]], "TextBatch"]
Transform = Callable[["Image.Image", "np.random.Generator"], torch.Tensor]
Negatives = Callable[[str, "np.random.Generator"], Mapping[str, str | None]]

TABLE = "table"  # the kind of negatives which comes from the caption table itself


class Batch(Protocol):
    """What the engine needs of a batch: B samples as pictures (V, 3, H, W) and texts (T rows).

    Objectives decide what the rows are; V and T may each be any multiple of B and more.
    """

    pixels: torch.Tensor
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

    def draw(
        self, sample: Sample, rng: np.random.Generator
    ) -> tuple[Sample, torch.Tensor, list[str | None]]:
        """Return the sample, its pixels, and one hard negative a kind.

        Negatives are drawn last, so that crops do not depend on them.
        """
        return sample, self._pixels(sample, rng), self._negatives(sample, rng)

    def collate(
        self, drawn: Sequence[tuple[Sample, torch.Tensor, list[str | None]]]
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
            pixels=torch.stack([pixels for _, pixels, _ in drawn]),
            text=self.tokenize(captions + negatives).trimmed(),
            owner=torch.tensor(owners, dtype=torch.long),
            kind=torch.tensor(kinds, dtype=torch.long),
            ids=[sample.id for sample, _, _ in drawn],
            captions=captions,
            negatives=negatives,
        )

    def _pixels(self, sample: Sample, rng: np.random.Generator) -> torch.Tensor:
        if isinstance(sample.image, torch.Tensor):
            return sample.image
        if self.transform is None:
            raise ValueError("the source yields PIL images, so a transform is needed")
        return self.transform(sample.image, rng)

    def _negatives(self, sample: Sample, rng: np.random.Generator) -> list[str | None]:
        made: Mapping[str, str | None] = {}
        if self.negatives is not None and set(self.kinds) - {TABLE}:
            made = self.negatives(sample.caption, rng)
        written = sample.negatives
        table = (
            written[int(rng.integers(len(written)))] if TABLE in self.kinds and written else None
        )
        return [table if kind == TABLE else made.get(kind) for kind in self.kinds]


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
