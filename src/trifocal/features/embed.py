"""Embedding lists of pictures and texts for a score, each distinct one once.

A layer over `clip.encode` that knows what repeats (a photo has several questions), opens files in
threads while the tower works, and tells how far it is. Scores are made from float32 on the CPU,
whatever the model computed in.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn.functional import normalize

from trifocal.clip import encode
from trifocal.clip.embeddings import TextBatch
from trifocal.clip.encoder import Encoder
from trifocal.data.held import Held
from trifocal.data.images import BadImage, open_image
from trifocal.features.identity import Picture, identity
from trifocal.features.reading import cannot_score, embed_ahead
from trifocal.features.shared import Embedded, in_files, shared_with
from trifocal.features.unreadable import Unreadable, spread
from trifocal.progress import Onward, Progress, Quiet

Item = TypeVar("Item")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tokenized:
    """A list of N texts, the T of them that differ in their ids once.

    Texts that a model cannot tell apart (in case, say, or beyond what it reads) get one embedding,
    and not two that differ in their last bits: whoever compares them has a tie.

    Attributes:
        batch: The T texts.
        place: (N,) which of the T each of the N is.
        cut: How many of the N a model reads the beginning of alone, since they are too long.
    """

    batch: TextBatch
    place: Tensor
    cut: int = 0

    @property
    def every(self) -> TextBatch:
        """All N texts, repetitions included."""
        return self.batch.rows(self.place)

    @property
    def note(self) -> str:
        """What a protocol says of texts that were cut; empty where none was."""
        return f"; {self.cut:,} of {len(self.place):,} texts cut" if self.cut else ""


def tokenize(model: Encoder, texts: Sequence[str]) -> Tokenized:
    """Tokenize a list of texts for a model, and say how many are too long for it."""
    distinct, place = _distinct(texts, str)
    batch = model.tokenize(distinct)
    ids = torch.cat([batch.lengths[:, None].to(batch.ids), batch.ids], dim=1).cpu()
    different, same = _distinct(range(len(ids)), lambda row: ids[row].numpy().tobytes())
    if batch.cut is None or not bool(batch.cut.any()):
        return Tokenized(batch.rows(different), same[place])
    cut = int(batch.cut[place].sum())
    alike = int(batch.cut.sum() - batch.cut[different].sum())
    logger.warning(
        "%s of %s texts are longer than the %d tokens that %s reads, and are cut there%s",
        f"{cut:,}",
        f"{len(texts):,}",
        int(batch.lengths.max()),
        getattr(model, "name", "the model"),
        f"; {alike:,} of them became equal to another" if alike else "",
    )
    return Tokenized(batch.rows(different), same[place], cut)


def encode_texts(
    model: Encoder,
    texts: Sequence[str] | Tokenized,
    *,
    batch_size: int = 256,
    progress: Progress | None = None,
) -> Tensor:
    """Return (N, D) float32 unit embeddings of texts; equal texts are encoded once.

    Args:
        model: A Clip, a method, or what embeds as one does.
        texts: N sentences, in any order and with repetitions.
        batch_size: Most texts in one pass.
        progress: Told of every distinct text.
    """
    if not isinstance(texts, Tokenized):
        if not texts:
            raise ValueError("there is no text to encode")
        texts = tokenize(model, texts)
    progress = progress or Quiet()
    progress.start("texts", len(texts.batch))

    def embed(some: TextBatch) -> Tensor:
        onward = Onward(progress)
        return encode.encode_texts(model, some, batch_size=batch_size, progress=onward)

    shared = shared_with(model)
    if shared is None:
        return embed(texts.batch).float().cpu()[texts.place]
    return shared.texts(texts.batch, embed, progress)[texts.place]


def encode_images(
    model: Encoder,
    images: Sequence[Picture] | Tensor,
    *,
    batch_size: int = 128,
    threads: int = 4,
    progress: Progress | None = None,
    unreadable: Unreadable | None = None,
) -> Tensor:
    """Return (N, D) float32 unit embeddings of pictures; equal paths are encoded once.

    Args:
        model: A Clip, a method, or what embeds as one does.
        images: N paths, PIL images or ready uint8 tensors (3, H, W), or one (N, 3, H, W) tensor.
        batch_size: Most pictures in one pass.
        threads: How many pictures are opened at a time.
        progress: Told of every distinct picture.
        unreadable: Notes the files that are missing or broken, whose rows are NaN.

    Raises:
        UserError: A file is missing or broken and nobody notes it, as a score over fewer pictures
            than it claims would be wrong; or more are than may be.
    """
    if not len(images):
        raise ValueError("there is no picture to encode")
    distinct, place = _distinct(images, identity)
    progress = progress or Quiet()
    progress.start("pictures", len(distinct))

    def embed(some: Sequence[Picture]) -> Embedded:
        told = {"batch_size": batch_size, "threads": threads}
        return embed_pictures(model, some, progress=progress, **told)

    shared = shared_with(model) if in_files(distinct) else None
    made = embed(distinct) if shared is None else shared.pictures(distinct, embed, progress)
    features, broken = made
    for number, error in broken.items():
        if unreadable is None:
            raise cannot_score(distinct[number], "its rows", error) from error
        unreadable.note(distinct[number], error)
    # A model without features that are not normalized gives unit vectors in their place.
    unit = getattr(model, "image_features", None) is None
    embedded = features if unit else normalize(features, dim=-1)
    if unreadable is not None:
        unreadable.close(model, distinct)
        embedded = spread(embedded, unreadable.readable(distinct))
    return embedded[place]


def embed_pictures(
    model: Encoder,
    pictures: Sequence[Picture],
    *,
    batch_size: int = 128,
    threads: int = 4,
    progress: Progress,
) -> Embedded:
    """Return the features (n, d) of those of some pictures that can be read, and the others.

    Args:
        model: A Clip, a method, or what embeds as one does; where it has features that are not
            normalized, these are returned.
        pictures: Paths, PIL images or ready tensors.
        batch_size: Most pictures in one pass.
        threads: How many pictures are opened at a time.
        progress: Told of every picture.
    """
    broken: dict[int, Exception] = {}

    def show(number: int) -> list[Tensor]:
        try:
            return [_pixels(model, pictures[number])[None]]
        except (BadImage, OSError) as error:
            broken[number] = error
            return [torch.empty(0, 3, 0, 0)]

    ready = all(isinstance(picture, Tensor) for picture in pictures)
    features, _ = embed_ahead(
        model,
        range(len(pictures)),
        show,
        embed=encode.image_features,
        batch_size=batch_size,
        threads=0 if ready else max(1, threads),
        pictures=1,
        progress=progress,
    )
    return features, broken


def load_pixels(model: Encoder, image: Picture) -> Tensor:
    """Return a picture as the (3, H, W) uint8 tensor that `model` expects.

    Raises:
        UserError: The file cannot be read.
    """
    try:
        return _pixels(model, image)
    except (BadImage, OSError) as error:
        raise cannot_score(image, "its rows", error) from error


def _pixels(model: Encoder, image: Picture) -> Tensor:
    if isinstance(image, Tensor):
        return image
    if isinstance(image, str | Path):
        image = open_image(image)
    return model.preprocess(image.show() if isinstance(image, Held) else image)


def _distinct(
    items: Iterable[Item], known_by: Callable[[Item], Hashable]
) -> tuple[list[Item], Tensor]:
    """Return the T different items, and which of them each of the N is (N,)."""
    known: dict[Hashable, int] = {}
    distinct, place = [], []
    for item in items:
        key = known_by(item)
        if key not in known:
            known[key] = len(distinct)
            distinct.append(item)  # kept alive here, so that an id is never given twice
        place.append(known[key])
    return distinct, torch.tensor(place)
