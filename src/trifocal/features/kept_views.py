"""Embeddings of pictures under a frozen tower, computed once, for training to read again and again.

Training shows each picture in one of a few views, which are drawn once: fixed crops. They are
embedded chunk by chunk into two `FeatureStore`s, one of pooled embeddings, in float32, and one of
patches where an objective reads them. What decides an embedding is the image tower alone, so
trainings of any text tower beside it share a store. Rows are mapped from the disk: of N pictures
nothing but their places is in memory.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from trifocal.clip import Clip, ImageEmbedding
from trifocal.clip.encode import evaluating, finite
from trifocal.data.images import BadImage
from trifocal.data.samples import PictureSource
from trifocal.errors import UserError
from trifocal.features.reading import read_ahead
from trifocal.features.store import FeatureStore, Row
from trifocal.features.views import ViewPlan
from trifocal.progress import Progress

logger = logging.getLogger(__name__)

CHUNK_BYTES = 64 << 20  # of the embeddings that one file holds, and that wait for it in memory
MOST_ROWS = 4096  # pictures in one file; an interrupted run loses no more
BATCH, THREADS = 64, 4  # views in one pass, pictures that are opened at a time

Item = TypeVar("Item")


class KeptViews:
    """The embeddings of a source's pictures.

    Attributes:
        views: How many there are of each picture.
        folders: Where they are kept.
        bytes: How much that takes.
        bad: Pictures that could not be read, by index, and why.
    """

    def __init__(
        self,
        rows: dict[str, list[Row | None]],
        views: int,
        folders: Sequence[Path],
        size: int,
        bad: dict[int, BadImage],
    ) -> None:
        self.views, self.folders, self.bytes, self.bad = views, tuple(folders), size, bad
        self._pooled = _Rows(rows["pooled"])
        self._patches = _Rows(rows["patches"]) if "patches" in rows else None

    def row(self, index: int, view: int) -> ImageEmbedding:
        """Return the embedding of one view, as a batch of one; patches as they are kept.

        Raises:
            BadImage: the picture could not be read.
        """
        if index in self.bad:
            raise self.bad[index]
        patches = None if self._patches is None else self._patches.get(index, view)
        return ImageEmbedding(self._pooled.get(index, view), patches)


def keep_views(
    clip: Clip,
    source: PictureSource,
    plan: ViewPlan,
    cache: Path,
    *,
    most_bytes: int,
    share: tuple[int, int] = (0, 1),
    wait: Callable[[], None] = lambda: None,
    progress: Progress,
) -> KeptViews:
    """Return the embeddings of a source's pictures; those that no run has left are computed.

    Args:
        clip: What embeds.
        source: Where the pictures are.
        plan: Which views.
        cache: The folder of all stores.
        most_bytes: How much the embeddings may take.
        share: This process among how many; each embeds its part.
        wait: Returns when all processes have called it.
        progress: Told of every picture that is embedded.

    Raises:
        UserError: they would take too much, or cannot be kept.
    """
    shapes = plan.shapes(clip)
    facts = plan.facts(clip)
    stores = {
        name: FeatureStore(
            cache, {**facts, "what": name, "dtype": str(dtype)}, {"backbone": clip.name}
        )
        for name, (_, dtype) in shapes.items()
    }
    keys = [source.picture_key(index) for index in range(len(source))]
    first: dict[bytes, int] = {}
    for index, key in enumerate(keys):
        first.setdefault(key, index)
    each = sum(int(np.prod(shape)) * dtype.itemsize for shape, dtype in shapes.values())
    found = {name: store.find(first) for name, store in stores.items()}
    bad: dict[bytes, BadImage] = {}

    def left() -> list[bytes]:
        """Return the keys of pictures that are still to be embedded."""
        gone = (key for key in first if any(key not in rows for rows in found.values()))
        return [key for key in gone if key not in bad]

    def embed(chosen: Sequence[bytes]) -> None:
        if chosen:
            progress.start("pictures", len(chosen))
        for chunk in _chunks(chosen, max(1, min(MOST_ROWS, CHUNK_BYTES // each))):
            good, made = _embedded(clip, source, plan, chunk, first, bad, progress)
            for name, features in made.items():
                found[name].update(_kept(stores[name], good, features))

    missing, (rank, processes) = left(), share
    _check_size(each * len(first), each * len(missing), len(first), plan, cache, most_bytes)
    embed(missing[rank::processes])
    wait()
    if processes > 1 and missing:
        found.update({name: store.find(first) for name, store in stores.items()})
        embed(left())  # all that the others did, where the disk is not shared
    gone = {index: bad[key] for index, key in enumerate(keys) if key in bad}
    rows = {name: [at.get(key) for key in keys] for name, at in found.items()}
    folders = [store.folder for store in stores.values()]
    return KeptViews(rows, plan.views, folders, each * len(first), gone)


def _kept(store: FeatureStore, keys: Sequence[bytes], features: Tensor) -> dict[bytes, Row]:
    """Write features of pictures, and return their rows, mapped."""
    rows = store.keep(keys, features)
    if any(tensor is features for tensor, _ in rows.values()):
        raise UserError(
            f"embeddings of pictures cannot be kept in {store.folder}; set embeddings.cache to a "
            "folder on a disk with room."
        )
    return rows


def _check_size(
    whole: int, new: int, pictures: int, plan: ViewPlan, cache: Path, most: int
) -> None:
    """Say how much is going to be kept, and refuse too much of it, before any is written."""
    views = f"{plan.views} views each" if plan.views > 1 else "one view each"
    size = f"{whole / 1e9:.3g} GB"
    logger.info("embeddings of %s pictures (%s) take %s in %s", f"{pictures:,}", views, size, cache)
    if whole > most:
        less = ", keep patches in float16" if plan.dense and plan.patches.itemsize > 2 else ""
        raise UserError(
            f"embeddings of {pictures:,} pictures ({views}) would take {size}, and "
            f"embeddings.max_gb allows for {most / 1e9:.3g}; raise it{less}, or take fewer views."
        )
    place = next(each for each in (cache, *cache.absolute().parents) if each.is_dir())
    free = shutil.disk_usage(place).free
    if new > free:
        raise UserError(
            f"embeddings of pictures would take {new / 1e9:.3g} GB more, and {place} has "
            f"{free / 1e9:.3g} left; set embeddings.cache to a folder on another disk."
        )


@torch.no_grad()
def _embedded(
    clip: Clip,
    source: PictureSource,
    plan: ViewPlan,
    keys: Sequence[bytes],
    places: dict[bytes, int],
    bad: dict[bytes, BadImage],
    progress: Progress,
) -> tuple[list[bytes], dict[str, Tensor]]:
    """Return the keys whose pictures can be read, and what is kept of them (n, V, ...)."""

    def views_of(key: bytes) -> Tensor | BadImage:
        try:
            return plan.take(source, places[key])
        except BadImage as error:
            return error

    good: list[bytes] = []

    def opened() -> Iterator[Tensor]:
        ahead = max(THREADS, 2 * BATCH // plan.views)
        for key, views in zip(keys, read_ahead(keys, views_of, THREADS, ahead)):
            if isinstance(views, BadImage):
                bad[key] = views
            else:
                good.append(key)
                yield views
            progress.advance(1)

    parts: dict[str, list[Tensor]] = {"pooled": [], "patches": []}
    with evaluating(clip):
        for some in _chunks(opened(), max(1, BATCH // plan.views)):
            made = clip.encode_image(torch.cat(some), patches=plan.dense)
            parts["pooled"].append(finite(made.pooled.float(), clip, "pictures").cpu())
            if made.patches is not None:
                parts["patches"].append(made.patches.to(plan.patches).cpu())
    joined = {name: torch.cat(each) for name, each in parts.items() if each}
    return good, {name: each.unflatten(0, (-1, plan.views)) for name, each in joined.items()}


class _Rows:
    """Rows of features by number, in any of several tensors."""

    def __init__(self, rows: Sequence[Row | None]) -> None:
        parts = {id(row[0]): row[0] for row in rows if row is not None}
        numbers = {name: number for number, name in enumerate(parts)}
        self._parts = list(parts.values())
        self._part = np.array([-1 if row is None else numbers[id(row[0])] for row in rows])
        self._place = np.array([-1 if row is None else row[1] for row in rows])

    def get(self, index: int, view: int) -> Tensor:
        """Return one view (1, ...) of row `index`."""
        part, place = self._parts[self._part[index]], int(self._place[index])
        return part[place, view : view + 1]


def _chunks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
