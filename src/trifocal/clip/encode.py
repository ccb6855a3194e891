"""Many texts or images to one matrix, fast: for evaluation and for frozen features.

Works with anything that embeds as a Clip does (a tuned method too). Texts are sorted by length,
the longest first, so that each batch is only as wide as its own longest caption; with a causal
tower that changes nothing but the time. `encode_*` return unit vectors; `*_features` return what
these are made of. All of them are finite: a score of NaN compares with nothing, so it would pass for
a low one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice

import torch
from PIL import Image
from torch import Tensor, nn

from trifocal.clip.embeddings import TextBatch, by_length
from trifocal.clip.encoder import Encoder
from trifocal.errors import UserError
from trifocal.progress import Progress, Quiet


def encode_texts(
    model: Encoder,
    texts: Sequence[str] | TextBatch,
    *,
    batch_size: int = 256,
    progress: Progress | None = None,
) -> Tensor:
    """Return pooled unit vectors (N, D) of the texts, in their order, on the model's device.

    Args:
        model: a Clip, or whatever embeds as one does.
        texts: captions, or captions already tokenized.
        batch_size: texts in one pass.
        progress: told of every text.

    Raises:
        UserError: the model makes something of a text that is not finite.
    """

    def pooled(batch: TextBatch) -> Tensor:
        return model.encode_text(batch).pooled

    return _over_texts(model, texts, pooled, batch_size, progress or Quiet())


def text_features(
    model: Encoder, texts: Sequence[str] | TextBatch, *, batch_size: int = 256
) -> Tensor:
    """Return text features (N, D) that are not normalized, otherwise as `encode_texts`.

    A model that offers unit vectors only (one without `text_features`) gives these.
    """
    features = getattr(model, "text_features", None)
    if features is None:
        return encode_texts(model, texts, batch_size=batch_size)
    return _over_texts(model, texts, features, batch_size, Quiet())


def encode_images(
    model: Encoder, images: Iterable[Image.Image | Tensor], *, batch_size: int = 64
) -> Tensor:
    """Return pooled unit vectors (N, D) of the images, in their order, on the model's device.

    Args:
        model: a Clip or a method.
        images: photos, or (3, H, W) pixels of one size as `preprocess` makes them; read lazily,
            so a generator of a million is fine.
        batch_size: images in one pass.

    Raises:
        UserError: the model makes something of an image that is not finite.
    """
    return _over_images(model, images, lambda pixels: model.encode_image(pixels).pooled, batch_size)


def image_features(
    model: Encoder,
    images: Iterable[Image.Image | Tensor],
    *,
    projected: bool = True,
    batch_size: int = 64,
) -> Tensor:
    """Return image features that are not normalized, otherwise as `encode_images`.

    A model that offers unit vectors only (one without `image_features`) gives these.

    Args:
        model: a Clip, or whatever embeds as one does.
        images: as for `encode_images`.
        projected: False for features (N, W) from before the projection into the joint space,
            instead of (N, D).
        batch_size: images in one pass.

    Raises:
        UserError: the model has no features from before its projection.
    """
    features = getattr(model, "image_features", None)
    if not projected and getattr(model, "image_projection", None) is None:
        raise UserError(
            f"{getattr(model, 'name', 'the model')} offers pooled features only, none from before "
            "a projection; use a transformers CLIP for methods that tune the projection."
        )
    if features is None:
        return encode_images(model, images, batch_size=batch_size)
    return _over_images(model, images, partial(features, projected=projected), batch_size)


@torch.no_grad()
def _over_texts(
    model: Encoder,
    texts: Sequence[str] | TextBatch,
    embed: Callable[[TextBatch], Tensor],
    batch_size: int,
    progress: Progress,
) -> Tensor:
    """Return what `embed` makes of the texts (N, D), in their order."""
    batch = texts if isinstance(texts, TextBatch) else model.tokenize(texts)
    if not len(batch):
        raise ValueError("there are no texts to encode")
    progress.start("texts", len(batch))
    order, parts = by_length(batch.lengths), []
    with evaluating(model):
        for chosen in order.split(batch_size):  # the largest pass first
            parts.append(embed(batch.rows(chosen).trimmed()))
            progress.advance(len(chosen))
    pooled = finite(torch.cat(parts), model, "texts")
    return pooled[order.argsort().to(pooled.device)]


@torch.no_grad()
def _over_images(
    model: Encoder,
    images: Iterable[Image.Image | Tensor],
    embed: Callable[[Tensor], Tensor],
    batch_size: int,
) -> Tensor:
    """Return what `embed` makes of the images (N, D), in their order."""
    parts = []
    with evaluating(model):
        for chunk in _chunks(images, batch_size):
            pixels = [
                image if isinstance(image, Tensor) else model.preprocess(image) for image in chunk
            ]
            parts.append(embed(torch.stack(pixels)))
    if not parts:
        raise ValueError("there are no images to encode")
    return finite(torch.cat(parts), model, "pictures")


def finite(features: Tensor, model: object, what: str) -> Tensor:
    """Return features as they are, if all of them are numbers.

    Args:
        features: (N, D).
        model: what made them.
        what: what they are of, in the plural.

    Raises:
        UserError: some are NaN or infinite.
    """
    rows = features.flatten(1).isfinite().all(dim=1)
    if not bool(rows.all()):
        bad, name = int((~rows).sum()), getattr(model, "name", "") or type(model).__name__
        raise UserError(
            f"{name} makes features that are not finite (NaN or infinite) of {bad:,} of "
            f"{len(rows):,} {what}, so nothing can be measured or fitted with it: its weights are "
            "damaged, or too large for half precision; take a checkpoint from before training "
            "diverged, or run it in float32."
        )
    return features


def _chunks(
    images: Iterable[Image.Image | Tensor], size: int
) -> Iterator[list[Image.Image | Tensor]]:
    iterator = iter(images)
    while chunk := list(islice(iterator, size)):
        yield chunk


@contextmanager
def evaluating(model: object) -> Iterator[None]:
    """Switch a module to evaluation for the block; afterwards each part is as it was."""
    parts = list(model.modules()) if isinstance(model, nn.Module) else []
    training = [part for part in parts if part.training]
    for part in training:
        part.training = False
    try:
        yield
    finally:
        for part in training:
            part.training = True
