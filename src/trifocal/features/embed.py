"""Embedding lists of pictures and texts for a score, each distinct one once.

A layer over `clip.encode` that knows what repeats (a photo has several questions), opens files in
threads while the tower works, and tells how far it is. Scores are made from float32 on the CPU,
whatever the model computed in.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import torch
from PIL import Image
from torch import Tensor

from trifocal.clip import encode
from trifocal.data.images import BadImage, open_image
from trifocal.errors import UserError
from trifocal.progress import Progress, Quiet

Item = TypeVar("Item")
Made = TypeVar("Made")
Picture = str | Path | Image.Image | Tensor


def encoder_of(model: Any) -> Any:
    """Return the object that embeds, tokenizes and preprocesses: the model, or the Clip in it.

    A method tunes its Clip in place, so both give the same embeddings.
    """
    if hasattr(model, "tokenize") and hasattr(model, "preprocess"):
        return model
    return model.clip


def encode_texts(
    model: Any,
    texts: Sequence[str],
    *,
    batch_size: int = 256,
    progress: Progress | None = None,
) -> Tensor:
    """Return (N, D) float32 unit embeddings of texts; equal texts are encoded once.

    Args:
        model: A Clip or a method.
        texts: N sentences, in any order and with repetitions.
        batch_size: Most texts in one pass.
        progress: Told of every distinct text.
    """
    progress, model = progress or Quiet(), encoder_of(model)
    place = {text: i for i, text in enumerate(dict.fromkeys(texts))}
    if not place:
        raise ValueError("there is no text to encode")
    progress.start("texts", len(place))
    batch = model.tokenize(list(place))
    order = torch.argsort(batch.lengths, descending=True, stable=True)  # the largest pass first
    rows = []
    for chosen in order.split(batch_size):
        part = encode.encode_texts(model, batch.rows(chosen), batch_size=batch_size)
        rows.append(part.float().cpu())
        progress.advance(len(chosen))
    distinct = torch.cat(rows)[torch.argsort(order)]
    return distinct[torch.tensor([place[text] for text in texts])]


def encode_images(
    model: Any,
    images: Sequence[Picture] | Tensor,
    *,
    batch_size: int = 128,
    threads: int = 4,
    progress: Progress | None = None,
) -> Tensor:
    """Return (N, D) float32 unit embeddings of pictures; equal paths are encoded once.

    Args:
        model: A Clip or a method.
        images: N paths, PIL images or ready uint8 tensors (3, H, W), or one (N, 3, H, W) tensor.
        batch_size: Most pictures in one pass.
        threads: How many pictures are opened at a time.
        progress: Told of every distinct picture.

    Raises:
        UserError: A file is missing or unreadable; a score over fewer pictures than it claims
            would be wrong.
    """
    progress, model = progress or Quiet(), encoder_of(model)
    if not len(images):
        raise ValueError("there is no picture to encode")
    distinct, place = _distinct(images)
    progress.start("pictures", len(distinct))
    pixels = _counted(_pixels_of(model, distinct, threads, 2 * batch_size), progress)
    embedded = encode.encode_images(model, pixels, batch_size=batch_size).float().cpu()
    return embedded[torch.tensor(place)]


def load_pixels(model: Any, image: Picture) -> Tensor:
    """Return a picture as the (3, H, W) uint8 tensor that `model` expects.

    Raises:
        UserError: The file cannot be read.
    """
    if isinstance(image, Tensor):
        return image
    if isinstance(image, Image.Image):
        return encoder_of(model).preprocess(image)
    try:
        return encoder_of(model).preprocess(open_image(image))
    except (BadImage, OSError) as error:
        raise UserError(
            f"cannot score with the picture {image} ({getattr(error, 'reason', error)}); "
            "restore the file, or leave its rows out of the annotations"
        ) from error


def _distinct(images: Iterable[Picture]) -> tuple[list[Picture], list[int]]:
    """Return the different pictures, and which of them each of the N is."""
    known: dict[Hashable, int] = {}
    distinct, place = [], []
    for image in images:
        key = str(image) if isinstance(image, str | Path) else id(image)
        if key not in known:
            known[key] = len(distinct)
            distinct.append(image)  # kept alive here, so that an id is never given twice
        place.append(known[key])
    return distinct, place


def read_ahead(
    items: Iterable[Item], read: Callable[[Item], Made], threads: int, ahead: int
) -> Iterator[Made]:
    """Yield what `read` makes of each item, in order; read in threads, at most `ahead` early."""
    with ThreadPoolExecutor(max_workers=max(1, threads)) as pool:
        window: deque[Future[Made]] = deque()
        try:
            for item in items:
                window.append(pool.submit(read, item))
                if len(window) >= ahead:
                    yield window.popleft().result()
            while window:
                yield window.popleft().result()
        finally:
            for future in window:  # after an error the rest need not be opened
                future.cancel()


def _pixels_of(model: Any, images: Sequence[Picture], threads: int, ahead: int) -> Iterator[Tensor]:
    """Yield pixels in order; files are opened early."""
    if all(isinstance(image, Tensor) for image in images):
        yield from images  # type: ignore[misc]
        return
    yield from read_ahead(images, lambda image: load_pixels(model, image), threads, ahead)


def _counted(pixels: Iterator[Tensor], progress: Progress) -> Iterator[Tensor]:
    """Pass pictures on, noting each."""
    for image in pixels:
        yield image
        progress.advance(1)
