"""Features of pictures under a frozen model, computed once: what few-shot heads are fitted to.

The features are those before normalization, so that whoever averages several random views of a
picture can do it first and normalize then (the order of Tip-Adapter, Zhang et al., ECCV 2022,
arXiv 2111.03930; the other order gives other numbers). A view is a random crop with a flip, as in
that method's training. They are kept in float32, exactly as they were computed, in a
`FeatureStore`.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from trifocal.clip import encode
from trifocal.clip.encoder import Encoder
from trifocal.clip.preprocess import Preprocess
from trifocal.data.images import BadImage, open_image, read_image_file
from trifocal.data.picture_keys import picture_key
from trifocal.errors import UserError
from trifocal.features.identity import content_hash
from trifocal.features.reading import Seen, embed_ahead
from trifocal.features.store import FeatureStore, Row
from trifocal.progress import Progress, Quiet

logger = logging.getLogger(__name__)

FORMAT = "trifocal-features-1"
CHUNK = 4096  # embeddings in one file of the store; an interrupted run loses no more
OnBad = Literal["raise", "skip", "return"]


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
class Views:
    """Which views are taken of a picture.

    Attributes:
        count: How many random ones; 0 for the one that is evaluated on.
        scale: Bounds of a random crop's share of the picture.
        seed: Of the draws.
    """

    count: int = 0
    scale: tuple[float, float] = (0.5, 1.0)
    seed: int = 1

    def facts(self) -> dict[str, Any]:
        """Return what decides a view, as plain data."""
        if not self.count:
            return {"views": 0}
        return {"views": self.count, "scale": list(self.scale), "flip": 0.5, "seed": self.seed}

    def take(self, image: Image.Image, content: bytes, preprocess: Preprocess) -> Tensor:
        """Return a picture's views (V, 3, H, W) in uint8.

        Args:
            image: The picture.
            content: Of its file; a draw depends on seed, content and number alone.
            preprocess: The model's.
        """
        if not self.count:
            return preprocess(image)[None]
        words = np.frombuffer(content_hash(content)[:16], np.uint32).tolist()
        views = []
        for number in range(self.count):
            rng = np.random.default_rng([self.seed, number, *words])
            pixels = preprocess.train_crop(image, rng, self.scale)
            views.append(pixels.flip(-1) if rng.random() < 0.5 else pixels)
        return torch.stack(views)


def image_features(
    model: Encoder,
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
    seen: Seen | None = None,
) -> Features:
    """Return features of pictures, out of the cache as far as they are there.

    Pictures are decoded at full size: what is kept equals what `encode_images` would return before
    it normalizes. A model that has no fingerprint is never cached.

    Args:
        model: A Clip, or what embeds as one does (one with unit vectors only gives these).
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
        on_bad: What pictures that cannot be read do: "raise" once the others are embedded (and
            kept), "skip" with a warning, or "return" for the caller to tell of.
        fingerprint: What `image_identity` says of the model, where it is known: hashing a large one
            takes a second.
        seen: Called with every picture that had to be opened.

    Raises:
        UserError: A picture cannot be read (or, unless "raise", none can), or the model has no
            features from before its projection.
    """
    if not len(files) or views < 0 or on_bad not in get_args(OnBad):
        raise ValueError(f"{len(files)} files, {views} views and on_bad={on_bad!r} do not go")
    plan, progress = Views(views, view_scale, seed), progress or Quiet()
    store = None
    if cache is not None:
        store = picture_store(model, cache, plan, projected=projected, fingerprint=fingerprint)
    keys = [picture_key(Path(file)) for file in files]
    numbers: dict[bytes, list[int]] = {}
    for number, key in enumerate(keys):
        numbers.setdefault(key, []).append(number)
    rows = store.find(numbers) if store else {}
    missing = [key for key in numbers if key not in rows]
    if missing:
        progress.start("pictures", len(numbers))
        progress.advance(len(numbers) - len(missing))
    bad: dict[bytes, BadImage] = {}

    def views_of(key: bytes) -> list[Tensor]:
        file = Path(files[numbers[key][0]])
        try:
            content = read_image_file(file)
            image = open_image(content, name=str(file))
        except BadImage as error:
            bad[key] = error
            return [torch.empty(0, 3, 0, 0)]
        if seen is not None:
            whole = (0.0, 0.0, float(image.width), float(image.height))
            for number in numbers[key]:
                seen(number, image, (whole,))
        return [plan.take(image, content, model.preprocess)]

    count = max(1, views)
    size = max(1, CHUNK // count)
    for start in range(0, len(missing), size):
        chosen = missing[start : start + size]
        features, _ = embed_ahead(
            model,
            chosen,
            views_of,
            embed=partial(encode.image_features, projected=projected),
            batch_size=batch_size,
            threads=max(1, threads),
            pictures=count,
            progress=progress,
        )
        good = [key for key in chosen if key not in bad]
        if good:
            made = features.unflatten(0, (len(good), count))
            new = {key: (made, row) for row, key in enumerate(good)}
            rows.update(store.keep(good, made) if store else new)
    kept = [i for i, key in enumerate(keys) if key in rows]
    left_out = [bad[key] for key in missing if key in bad]
    _tell(left_out, len(keys), len(kept), on_bad)
    return Features(_gathered([rows[keys[i]] for i in kept]), kept, left_out)


def image_identity(model: object) -> str | None:
    """Return a hash of all that decides a model's features of pictures; None for one without any.

    It is that of the image tower where a model tells it apart, so models that differ in their text
    towers alone share what is kept.
    """
    compute = getattr(model, "image_fingerprint", None) or getattr(model, "fingerprint", None)
    return None if compute is None else compute()


def picture_store(
    model: Encoder,
    cache: Path,
    views: Views | None = None,
    *,
    projected: bool = True,
    fingerprint: str | None = None,
) -> FeatureStore | None:
    """Return where a model's features of pictures are kept; None for one without a fingerprint.

    Args:
        model: A Clip, or what embeds as one does.
        cache: The folder of all stores.
        views: Which views of a picture; by default the one that is evaluated on.
        projected: False for features from before the projection.
        fingerprint: What `image_identity` says of the model, where it is known.
    """
    if fingerprint is None:
        fingerprint = image_identity(model)
        if fingerprint is None:
            return None
    facts = {
        "format": FORMAT,
        "weights": fingerprint,
        "transform": repr(model.preprocess),
        "projected": projected,
        "dtype": "float32",
        **(views or Views()).facts(),
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


def _tell(bad: Sequence[BadImage], total: int, kept: int, on_bad: OnBad) -> None:
    """Say how many pictures cannot be read, and refuse to go on if none can or none may."""
    if not bad:
        return
    shown = "; ".join(str(each) for each in bad[:5]) + (" …" if len(bad) > 5 else "")
    if not kept:
        raise UserError(f"none of {total} pictures can be used: {shown}; restore them.")
    if on_bad == "raise":
        raise UserError(
            f"{total - kept} of {total} pictures cannot be used: {shown}; restore them, or take them "
            "out of the list."
        )
    if on_bad == "skip":
        logger.warning("%d of %d pictures are left out: %s", total - kept, total, shown)
