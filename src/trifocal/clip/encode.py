"""Many texts or images to one matrix, fast: for evaluation and for frozen features.

Works with anything that embeds as a Clip does (a tuned method too). Texts are sorted by length,
so that each batch is only as wide as its own longest caption; with a causal tower that changes
nothing but the time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Protocol

import torch
from PIL import Image
from torch import Tensor, nn

from trifocal.clip.embeddings import ImageEmbedding, TextBatch, TextEmbedding


class Encoder(Protocol):
    """What these functions need of a model."""

    @property
    def preprocess(self) -> Callable[[Image.Image], Tensor]: ...
    def tokenize(self, texts: str | Sequence[str]) -> TextBatch: ...
    def encode_text(self, texts: TextBatch) -> TextEmbedding: ...
    def encode_image(self, pixels: Tensor) -> ImageEmbedding: ...


@torch.no_grad()
def encode_texts(
    model: Encoder, texts: Sequence[str] | TextBatch, *, batch_size: int = 256
) -> Tensor:
    """Return pooled unit vectors (N, D) of the texts, in their order, on the model's device."""
    batch = texts if isinstance(texts, TextBatch) else model.tokenize(texts)
    order = batch.lengths.argsort(stable=True)
    with _evaluating(model):
        parts = [
            model.encode_text(batch.rows(chosen).trimmed()).pooled
            for chosen in order.split(batch_size)
            if len(chosen)
        ]
    if not parts:
        raise ValueError("there are no texts to encode")
    pooled = torch.cat(parts)
    return pooled[order.argsort().to(pooled.device)]


@torch.no_grad()
def encode_images(
    model: Encoder, images: Iterable[Image.Image | Tensor], *, batch_size: int = 64
) -> Tensor:
    """Return pooled unit vectors (N, D) of the images, in their order, on the model's device.

    Args:
        model: a Clip or a method.
        images: photos, or (3, H, W) pixels of one size as `preprocess` makes them; read lazily,
            so a generator of a million is fine.
        batch_size: images in one pass.
    """
    parts = []
    with _evaluating(model):
        for chunk in _chunks(images, batch_size):
            pixels = [
                image if isinstance(image, Tensor) else model.preprocess(image) for image in chunk
            ]
            parts.append(model.encode_image(torch.stack(pixels)).pooled)
    if not parts:
        raise ValueError("there are no images to encode")
    return torch.cat(parts)


def _chunks(
    images: Iterable[Image.Image | Tensor], size: int
) -> Iterator[list[Image.Image | Tensor]]:
    iterator = iter(images)
    while chunk := list(islice(iterator, size)):
        yield chunk


@contextmanager
def _evaluating(model: object) -> Iterator[None]:
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
