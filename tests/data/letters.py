"""Samples that tell their index and their generator, and batches of them."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from PIL import Image

from trifocal.clip.embeddings import TextBatch
from trifocal.clip.preprocess import Preprocess
from trifocal.composition.batching import CaptionBatching
from trifocal.data.batching import RandomCrop
from trifocal.data.images import BadImage
from trifocal.data.loader import BatchMaker, Order
from trifocal.data.samples import Sample

PREPROCESS = Preprocess(size=(8, 8))


def tokenize(texts: list[str]) -> TextBatch:
    """One id a letter, padded well beyond the longest text."""
    lengths = [len(text) + 2 for text in texts]
    ids = torch.zeros(len(texts), max(lengths) + 5, dtype=torch.long)
    for row, text in enumerate(texts):
        ids[row, : lengths[row]] = torch.tensor([1, *map(ord, text), 2])
    return TextBatch(ids, torch.tensor(lengths))


class Letters:
    """Samples whose caption and picture depend on their index and on their generator."""

    def __init__(self, count: int, bad: frozenset[int] = frozenset(), written: bool = False):
        self.count, self.bad, self.written = count, bad, written

    def __len__(self) -> int:
        return self.count

    def sample(self, index: int, rng: np.random.Generator) -> Sample:
        draw = int(rng.integers(1000))
        if index in self.bad:
            raise BadImage(f"photo-{index}", "broken")
        pixels = np.full((12, 16, 3), index % 256, dtype=np.uint8)
        pixels[:, :, 1] = np.arange(16)
        negatives = (f"w{index}a", f"w{index}b") if self.written and index % 2 else ()
        return Sample(f"photo-{index}", Image.fromarray(pixels), f"c{index}-{draw}", negatives)


def negatives(caption: str, rng: np.random.Generator) -> dict[str, str | None]:
    """No swap for captions of even length; a drawn number tells which generator was used."""
    swap = None if len(caption) % 2 else f"swap {caption} {rng.integers(1000)}"
    return {"swap": swap, "shuffle": f"shuffle {caption} {rng.integers(1000)}"}


def maker(count=23, size=4, seed=7, source=None, **options) -> BatchMaker:
    options.setdefault("transform", RandomCrop(PREPROCESS))
    place = {key: options.pop(key) for key in ("rank", "processes") if key in options}
    batching = CaptionBatching(tokenize, **options)
    return BatchMaker(source or Letters(count), Order(count, size, seed), batching, **place)


def content(batch) -> dict:
    values = {f.name: getattr(batch, f.name) for f in dataclasses.fields(batch)}
    values["text"] = (batch.text.ids.tolist(), batch.text.lengths.tolist())
    return {k: v.tolist() if isinstance(v, torch.Tensor) else v for k, v in values.items()}
