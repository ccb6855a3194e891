"""A model of regions without a picture: embeddings drawn from names, and a log of what was asked."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from trifocal.data.regions import Region


class NameModel:
    """Embeds a region by its picture's name and boxes, and a sentence by its letters.

    Args:
        see: What of a region the model sees; by default everything.
        width: Size of an embedding.
    """

    name = "name-model"
    protocol = "prompt by name"

    def __init__(self, see: Callable[[Region], Any] | None = None, width: int = 16) -> None:
        self.see = see or (lambda region: (str(region.image).rsplit("/", 1)[-1], region.boxes))
        self.width = width
        self.asked: list[Sequence[Any]] = []

    def encode_regions(
        self, regions: Sequence[Region], *, batch_size: int = 1, progress: Any = None
    ) -> Tensor:
        self.asked.append(list(regions))
        return torch.stack([self.vector(self.see(region)) for region in regions])

    def encode_inferences(
        self, texts: Sequence[str], *, batch_size: int = 1, progress: Any = None
    ) -> Tensor:
        self.asked.append(list(texts))
        return torch.stack([self.vector(text) for text in texts])

    def vector(self, seen: Any) -> Tensor:
        rng = np.random.default_rng(zlib.crc32(repr(seen).encode()))
        vector = rng.standard_normal(self.width)
        return torch.from_numpy((vector / np.linalg.norm(vector)).astype(np.float32))

    def score(self, region: Region, text: str) -> float:
        """The cosine as a submission holds it, one pair at a time."""
        product = self.vector(self.see(region)).double() @ self.vector(text).double()
        return float(product.float())


@pytest.fixture
def model() -> NameModel:
    return NameModel()


@pytest.fixture
def name_model() -> type[NameModel]:
    return NameModel
