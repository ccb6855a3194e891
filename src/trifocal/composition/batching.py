"""Batches of captioned pictures, and of hard negatives of their captions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from trifocal.composition.noise import drop_words
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
    """B captioned pictures, M hard negatives of their captions, and P prompts of classes."""

    pixels: Pictures  # (B, 3, H, W) uint8, which the model normalizes; or B embeddings
    # B + M + P rows: the captions, then the negatives, kind by kind, in sample order, the prompts
    text: TextBatch
    owner: Tensor  # (M,) long, the sample in 0..B-1 a negative belongs to
    kind: Tensor  # (M,) long, which kind of negative it is
    ids: list[str]  # B names of samples
    captions: list[str]  # B sentences, with all their words
    negatives: list[str] = field(default_factory=list)  # M sentences, the same
    # (P,) long, the class that each prompt names; None where none are made.
    classes: Tensor | None = None
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
            classes=None if self.classes is None else self.classes.to(device),
        )

    def pin_memory(self) -> CaptionBatch:
        """Return the batch in page-locked memory (a data loader calls this)."""
        return replace(self, pixels=self.pixels.pin_memory(), text=self.text.pin_memory())


@dataclass(frozen=True)
class Prompts:
    """Texts that name classes, and how many of them a batch gets for each of its pictures."""

    texts: tuple[str, ...]
    share: float


@dataclass(frozen=True)
class Drawn:
    """One sample of a batch.

    Attributes:
        sample: What the source gave.
        picture: Its pixels or embedding.
        caption: Its caption as the tower reads it.
        negatives: One hard negative a kind, with all its words, or None.
        read: The same as the tower reads them.
        prompt: The class whose prompt comes with it, if one does.
    """

    sample: Sample
    picture: Tensor | ImageEmbedding
    caption: str
    negatives: list[str | None]
    read: list[str | None]
    prompt: int | None


@dataclass(frozen=True)
class CaptionBatching:
    """Captioned pictures, and hard negatives of their captions.

    Attributes:
        tokenize: Captions to a `TextBatch`.
        transform: PIL image and generator to a uint8 tensor (3, H, W); not asked for tensors.
        negatives: Caption and generator to a mapping from kind to hard negative, or None.
        kinds: The kinds of negatives wanted, in the order of their numbers. "table" takes one of
            those written ahead in the caption table.
        flip: Whether half of the pictures, drawn, are mirrored.
        drop: Share of words left out of what the tower reads.
        prompts: Prompts of classes that come with the captions.
    """

    tokenize: Tokenize
    transform: Transform | None = None
    negatives: Negatives | None = None
    kinds: tuple[str, ...] = ()
    flip: bool = False
    drop: float = 0.0
    prompts: Prompts | None = None

    def __post_init__(self) -> None:
        if self.negatives is None and set(self.kinds) - {TABLE}:
            raise ValueError(f"negatives of kinds {self.kinds} are wanted, but nothing makes them")

    @property
    def showing(self) -> Showing:
        """How a picture becomes pixels."""
        return Showing(self.transform, self.flip)

    def draw(self, sample: Sample, rng: np.random.Generator) -> Drawn:
        """Make what is particular to one sample.

        Negatives are drawn after the picture, so that crops do not depend on them; words and
        prompts after these, so that the rest does not depend on whether they are wanted.
        """
        picture = self.showing.shown(sample.image, rng)
        negatives = self._negatives(sample, rng)
        caption, read = sample.caption, negatives
        if self.drop:
            caption = drop_words(caption, self.drop, rng)
            read = [None if text is None else drop_words(text, self.drop, rng) for text in read]
        return Drawn(sample, picture, caption, negatives, read, self._prompt(rng))

    def collate(self, drawn: Sequence[Drawn]) -> CaptionBatch:
        """Return the batch: captions first, then the negatives, kind by kind, then the prompts."""
        made = [
            (owner, kind, one.negatives[kind], one.read[kind])
            for kind in range(len(self.kinds))
            for owner, one in enumerate(drawn)
            if one.negatives[kind] is not None
        ]
        texts = [one.caption for one in drawn] + [str(read) for *_, read in made]
        classes = None
        if self.prompts is not None:
            named = [one.prompt for one in drawn if one.prompt is not None]
            texts += [self.prompts.texts[each] for each in named]
            classes = torch.tensor(named, dtype=torch.long)
        return CaptionBatch(
            pixels=stacked([one.picture for one in drawn]),
            text=self.tokenize(texts).trimmed(),
            owner=torch.tensor([owner for owner, *_ in made], dtype=torch.long),
            kind=torch.tensor([kind for _, kind, *_ in made], dtype=torch.long),
            ids=[one.sample.id for one in drawn],
            captions=[one.sample.caption for one in drawn],
            negatives=[str(whole) for _, _, whole, _ in made],
            classes=classes,
        )

    def _prompt(self, rng: np.random.Generator) -> int | None:
        if self.prompts is None or rng.random() >= self.prompts.share:
            return None
        return int(rng.integers(len(self.prompts.texts)))

    def _negatives(self, sample: Sample, rng: np.random.Generator) -> list[str | None]:
        made: Mapping[str, str | None] = {}
        if self.negatives is not None and set(self.kinds) - {TABLE}:
            made = self.negatives(sample.caption, rng)
        written = sample.negatives
        table = (
            written[int(rng.integers(len(written)))] if TABLE in self.kinds and written else None
        )
        return [table if kind == TABLE else made.get(kind) for kind in self.kinds]
