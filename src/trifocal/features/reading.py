"""Pictures into a tower: opened ahead in threads, embedded in full batches, told as they go.

An item may be shown as any number of pictures (views of a photo, crops of its regions), so batches
run across items. All that embeds pictures goes through here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import chain, groupby
from typing import Protocol, TypeVar

import torch
from PIL import Image
from torch import Tensor

from trifocal.clip import encode
from trifocal.clip.encoder import Encoder
from trifocal.data.images import BadImage
from trifocal.data.regions import Box, Region
from trifocal.errors import UserError
from trifocal.features.identity import identity
from trifocal.features.unreadable import Unreadable
from trifocal.progress import Progress

Item = TypeVar("Item")
Made = TypeVar("Made")
# Called, in a thread, with an item's number, its open picture, and its boxes there.
Seen = Callable[[int, Image.Image, tuple[Box, ...]], None]


class Embed(Protocol):
    """Embeds a stream of pictures (3, H, W); such as `clip.encode.encode_images`."""

    def __call__(self, model: Encoder, images: Iterator[Tensor], *, batch_size: int) -> Tensor: ...


def read_ahead(
    items: Iterable[Item], read: Callable[[Item], Made], threads: int, ahead: int
) -> Iterator[Made]:
    """Yield what `read` makes of each item, in order; read in threads, at most `ahead` early.

    Without threads each item is read as it is asked for.
    """
    if threads < 1:
        yield from map(read, items)
        return
    with ThreadPoolExecutor(max_workers=threads) as pool:
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


def embed_ahead(
    model: Encoder,
    items: Sequence[Item],
    show: Callable[[Item], Sequence[Tensor]],
    *,
    embed: Embed = encode.encode_images,
    batch_size: int,
    threads: int,
    pictures: int,
    progress: Progress,
) -> tuple[Tensor, list[torch.Size]]:
    """Embed all pictures of some items.

    Args:
        model: What embeds.
        items: What is shown to it.
        show: Opens an item, in a thread: one or several stacks of pictures (..., 3, H, W).
        embed: How pictures are embedded.
        batch_size: Most pictures in one pass.
        threads: How many items are opened at a time.
        pictures: How many an item has on the average; two batches are opened early.
        progress: Told of every stack, once its job is started.

    Returns:
        (N, D) float32 embeddings on the CPU, of all pictures of all stacks in order, and how each
        stack was laid out. (0, 0) where nothing is shown.
    """
    layouts: list[torch.Size] = []

    def stream() -> Iterator[Tensor]:
        ahead = max(threads, 2 * batch_size // max(1, pictures))
        for stacks in read_ahead(items, show, threads, ahead):
            for stack in stacks:
                layouts.append(stack.shape[:-3])
                yield from stack.flatten(0, -4)
                progress.advance(1)

    shown = stream()
    first = next(shown, None)
    if first is None:
        return torch.empty(0, 0), layouts
    embedded = embed(model, chain([first], shown), batch_size=batch_size)
    return embedded.float().cpu(), layouts


def embed_regions(
    model: Encoder,
    regions: Sequence[Region],
    show: Callable[[Image.Image, tuple[Box, ...]], Tensor],
    *,
    embed: Embed = encode.encode_images,
    batch_size: int = 64,
    threads: int = 4,
    progress: Progress,
    seen: Seen | None = None,
    unreadable: Unreadable | None = None,
) -> list[Tensor]:
    """Embed what is shown of regions; those of one picture that stand together open it once.

    Args:
        model: What embeds.
        regions: N regions.
        show: Makes pictures (..., 3, H, W) of an open picture and a region's boxes in it.
        embed: How pictures are embedded.
        batch_size: Most pictures in one pass.
        threads: How many pictures are opened at a time.
        progress: Told of every region.
        seen: Called with each region.
        unreadable: Notes pictures that cannot be read, whose regions get no embedding (0, D).

    Returns:
        N embeddings (..., D) float32 on the CPU, laid out as what was shown.

    Raises:
        UserError: A picture cannot be read and nobody notes it, or more cannot than may be.
    """
    by_picture = groupby(enumerate(regions), key=lambda one: identity(one[1].image))
    groups = [list(group) for _, group in by_picture]

    def shown(group: list[tuple[int, Region]]) -> list[Tensor]:
        stacks, image = [], None
        for number, region in group:
            try:
                image, boxes = (region if image is None else replace(region, image=image)).open()
            except (BadImage, OSError) as error:
                if unreadable is None and isinstance(error, UserError):
                    raise  # what a user listed says itself where that is
                if unreadable is None:
                    raise cannot_score(region.image, "its regions", error) from error
                unreadable.note(region.image, error)
                return [torch.empty(0, 3, 0, 0)] * len(group)
            if seen is not None:
                seen(number, image, boxes)
            stacks.append(show(image, boxes))
        return stacks

    progress.start("regions", len(regions))
    rows, layouts = embed_ahead(
        model,
        groups,
        shown,
        embed=embed,
        batch_size=batch_size,
        threads=threads,
        pictures=len(regions) // max(1, len(groups)),
        progress=progress,
    )
    if unreadable is not None:
        unreadable.close(model, [region.image for region in regions])
    parts = rows.split([layout.numel() for layout in layouts])
    return [part.unflatten(0, layout) for part, layout in zip(parts, layouts)]


def cannot_score(image: object, what: str, error: Exception) -> UserError:
    """Return the error of a score that lacks a picture: over fewer than it claims it is wrong."""
    return UserError(
        f"cannot score with the picture {image} ({getattr(error, 'reason', error)}); "
        f"restore the file, or leave {what} out of the annotations."
    )
