"""Features of pictures under a frozen model, computed once: what few-shot heads are fitted to.

The features are those before normalization, so that whoever averages several random views of a
picture can do it first and normalize then (the order of Tip-Adapter, Zhang et al., ECCV 2022,
arXiv 2111.03930; the other order gives other numbers). A view is a random crop with a flip, as in
that method's training. They are kept in float32, exactly as they were computed, in a
`FeatureStore`.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from trifocal.clip import encode
from trifocal.data.images import BadImage, open_image
from trifocal.errors import UserError
from trifocal.features.embed import encoder_of, read_ahead
from trifocal.features.store import FeatureStore, Row, default_cache, picture_key
from trifocal.progress import Progress, Quiet

__all__ = ["Features", "default_cache", "image_features"]

logger = logging.getLogger(__name__)

FORMAT = "trifocal-features-1"
CHUNK = 4096  # embeddings in one file of the store; an interrupted run loses no more
OnBad = Literal["raise", "skip"]


@dataclass(frozen=True)
class Features:
    """Features of a list of pictures.

    Attributes:
        features: (N, V, d) float32 on the CPU, not normalized, V views of each picture that could
            be read; mapped from the disk where all lie in one file of the store, one after another.
        kept: For each row, which picture of the list it is; all of them unless some were skipped.
        bad: The pictures that were skipped, and why.
    """

    features: Tensor
    kept: list[int]
    bad: list[BadImage] = field(default_factory=list)


@dataclass(frozen=True)
class _Views:
    """Which views are taken of a picture.

    Attributes:
        count: How many random ones; 0 for the one that is evaluated on.
        scale: Bounds of a random crop's share of the picture.
        seed: Of the draws.
    """

    count: int
    scale: tuple[float, float]
    seed: int

    def facts(self) -> dict[str, Any]:
        """Return what decides a view, as plain data."""
        if not self.count:
            return {"views": 0}
        return {"views": self.count, "scale": list(self.scale), "flip": 0.5, "seed": self.seed}

    def take(self, file: Path, preprocess: Any) -> Tensor | BadImage:
        """Return a picture's views (V, 3, H, W) in uint8, or why there are none."""
        try:
            image = open_image(file)
            if not self.count:
                return preprocess(image)[None]
            with file.open("rb") as handle:
                content = hashlib.file_digest(handle, "sha256").digest()
        except BadImage as error:
            return error
        except OSError as error:
            return BadImage(str(file), error.strerror or str(error))
        return torch.stack([self._draw(image, content, i, preprocess) for i in range(self.count)])

    def _draw(self, image: Image.Image, content: bytes, number: int, preprocess: Any) -> Tensor:
        """Return one random view; the draw depends on seed, file content and number alone."""
        words = np.frombuffer(content[:16], np.uint32).tolist()
        rng = np.random.default_rng([self.seed, number, *words])
        pixels = preprocess.train_crop(image, rng, self.scale)
        return pixels.flip(-1) if rng.random() < 0.5 else pixels


def image_features(
    model: Any,
    files: Sequence[Path],
    *,
    cache: Path | None,
    views: int = 0,
    view_scale: tuple[float, float] = (0.5, 1.0),
    seed: int = 1,
    projected: bool = True,
    batch_size: int = 64,
    threads: int = 4,
    progress: Progress | None = None,
    on_bad: OnBad = "raise",
    fingerprint: str | None = None,
) -> Features:
    """Return features of pictures, out of the cache as far as they are there.

    Pictures are decoded at full size: what is kept equals what `encode_images` would return before
    it normalizes. A model that has no fingerprint is never cached.

    Args:
        model: A Clip, or a model that embeds as one does (one with unit vectors only gives these).
        files: N pictures; repetitions cost nothing.
        cache: The folder of the store (`default_cache()`), or None to keep nothing.
        views: Random views of each picture; 0 for the one that is evaluated on (then V is 1). A
            view depends on the seed, the file's content and its own number, not on the list.
        view_scale: Bounds of a random view's share of the picture.
        seed: Of the random views.
        projected: False for features from before the projection (see `Clip.image_features`).
        batch_size: Views in one pass.
        threads: How many pictures are opened at a time.
        progress: Told of every picture, if any has to be embedded.
        on_bad: What a picture that cannot be read does: "raise", or "skip" with a warning.
        fingerprint: Of the model, where it is known: hashing a large one takes a second.

    Raises:
        UserError: A picture cannot be read (or, with "skip", none can), or the model has no
            features from before its projection.
    """
    if not len(files) or views < 0 or on_bad not in ("raise", "skip"):
        raise ValueError(f"{len(files)} files, {views} views and on_bad={on_bad!r} do not go")
    model, progress = encoder_of(model), progress or Quiet()
    plan = _Views(views, view_scale, seed)
    store = _store(model, cache, plan, projected, fingerprint)
    keys = [picture_key(Path(file)) for file in files]
    rows = store.find(keys) if store else {}
    wanted = {key: Path(file) for key, file in zip(keys, files) if key not in rows}
    if wanted:
        progress.start("pictures", len(set(keys)))
        progress.advance(len(set(keys)) - len(wanted))
    bad: dict[bytes, BadImage] = {}
    embed = _Embedder(model, plan, projected, batch_size, threads, progress)
    size = max(1, CHUNK // max(1, views))
    missing = list(wanted)
    for start in range(0, len(missing), size):
        chosen = missing[start : start + size]
        features = embed([(key, wanted[key]) for key in chosen], bad, on_bad)
        if features is not None:
            good = [key for key in chosen if key not in bad]
            made = {key: (features, row) for row, key in enumerate(good)}
            rows.update(store.keep(good, features) if store else made)
    kept = [i for i, key in enumerate(keys) if key in rows]
    _tell(list(bad.values()), len(keys), len(kept))
    return Features(_gathered([rows[keys[i]] for i in kept]), kept, list(bad.values()))


@dataclass(frozen=True)
class _Embedder:
    """Opens pictures in threads while the model works on those before them."""

    model: Any
    plan: _Views
    projected: bool
    batch_size: int
    threads: int
    progress: Progress

    def __call__(
        self, items: Sequence[tuple[bytes, Path]], bad: dict[bytes, BadImage], on_bad: OnBad
    ) -> Tensor | None:
        """Return features (n, V, d) of the pictures that can be read; note the others in `bad`."""
        pixels = self._pixels(items, bad, on_bad)
        first = next(pixels, None)
        if first is None:
            return None
        features = encode.image_features(
            self.model, _with(first, pixels), projected=self.projected, batch_size=self.batch_size
        )
        return features.float().cpu().unflatten(0, (-1, max(1, self.plan.count)))

    def _pixels(
        self, items: Sequence[tuple[bytes, Path]], bad: dict[bytes, BadImage], on_bad: OnBad
    ) -> Iterator[Tensor]:
        """Yield the views (3, H, W) of all pictures in order."""
        preprocess = self.model.preprocess
        ahead = max(self.threads, 2 * self.batch_size // max(1, self.plan.count))
        opened = read_ahead(
            items, lambda item: self.plan.take(item[1], preprocess), self.threads, ahead
        )
        for (key, file), views in zip(items, opened):
            if isinstance(views, Tensor):
                yield from views
            elif on_bad == "raise":
                raise UserError(
                    f"the picture {file} cannot be used ({views.reason}); restore it, or take it "
                    "out of the list."
                )
            else:
                bad[key] = views
            self.progress.advance(1)


def _store(
    model: Any, cache: Path | None, plan: _Views, projected: bool, fingerprint: str | None
) -> FeatureStore | None:
    """Return where the features are kept, if they are."""
    if fingerprint is None and hasattr(model, "fingerprint") and cache is not None:
        fingerprint = model.fingerprint()
    if cache is None or fingerprint is None:
        return None
    facts = {
        "format": FORMAT,
        "weights": fingerprint,
        "transform": repr(model.preprocess),
        "projected": projected,
        "dtype": "float32",
        **plan.facts(),
    }
    return FeatureStore(Path(cache), facts, {"backbone": getattr(model, "name", "")})


def _gathered(rows: Sequence[Row]) -> Tensor:
    """Return rows of several tensors as one (N, V, d), without a copy where they are a slice."""
    parts = {id(part): part for part, _ in rows}
    places = torch.tensor([row for _, row in rows])
    if len(parts) == 1:
        part = rows[0][0]
        start = int(places[0])
        if torch.equal(places, torch.arange(start, start + len(rows))):
            return part[start : start + len(rows)]
        return part[places]
    numbers = {name: number for number, name in enumerate(parts)}
    owners = torch.tensor([numbers[id(part)] for part, _ in rows])
    gathered = rows[0][0].new_empty(len(rows), *rows[0][0].shape[1:])
    for number, part in enumerate(parts.values()):
        mine = owners == number
        gathered[mine] = part[places[mine]]
    return gathered


def _with(first: Tensor, others: Iterator[Tensor]) -> Iterator[Tensor]:
    yield first
    yield from others


def _tell(bad: Sequence[BadImage], total: int, kept: int) -> None:
    """Say how many pictures were left out, and refuse to go on without any."""
    if not bad:
        return
    shown = "; ".join(str(each) for each in bad[:5]) + (" …" if len(bad) > 5 else "")
    if not kept:
        raise UserError(f"none of {total} pictures can be used: {shown}; restore them.")
    logger.warning("%d of %d pictures are left out: %s", len(bad), total, shown)
