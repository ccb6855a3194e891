"""The distinct regions and sentences of a benchmark, each encoded once, and scores from them.

A fold has a million (region, inference) pairs of two thousand distinct things, so pairs are kept
as two numbers, and scores come from matrix products. Products are made in float64 and rounded to
float32 once: what is equal stays equal whatever the size of the product, and ties are counted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trifocal.data.regions import Region
from trifocal.errors import UserError
from trifocal.features.unreadable import Unreadable
from trifocal.progress import Progress, Quiet
from trifocal.regions.box_pooling import BoxPooledEncoder
from trifocal.regions.encoder import RegionEncoder, RegionModel, region_encoder


class Pool:
    """Numbers distinct regions and distinct sentences in the order they come."""

    def __init__(self) -> None:
        self._regions: dict[Region, int] = {}
        self._texts: dict[str, int] = {}

    @property
    def regions(self) -> list[Region]:
        """The distinct regions."""
        return list(self._regions)

    @property
    def texts(self) -> list[str]:
        """The distinct sentences."""
        return list(self._texts)

    def region(self, region: Region) -> int:
        """Return the number of a region."""
        return self._regions.setdefault(region, len(self._regions))

    def text(self, text: str) -> int:
        """Return the number of a sentence."""
        return self._texts.setdefault(text, len(self._texts))


@dataclass(frozen=True)
class Embedded:
    """What an encoder made of a pool."""

    regions: np.ndarray  # (N, D) float32
    texts: np.ndarray  # (T, D) float32
    protocol: str  # how the encoder shows regions to the model, in words

    def matrix(self, regions: np.ndarray, texts: np.ndarray) -> np.ndarray:
        """Return (R, C) float32 scores of R regions with C sentences, by their numbers."""
        row, rows = np.unique(regions, return_inverse=True)
        column, columns = np.unique(texts, return_inverse=True)
        product = self.regions[row].astype(np.float64) @ self.texts[column].astype(np.float64).T
        return product.astype(np.float32)[rows[:, None], columns]

    def pairs(self, regions: np.ndarray, texts: np.ndarray, group: np.ndarray) -> np.ndarray:
        """Return (P,) float32 scores of P pairs of regions (P,) and sentences (P,), by number.

        Within a group (P,) every region meets (nearly) every sentence: one product serves it.
        """
        scores = np.empty(len(regions), dtype=np.float32)
        if not len(regions):
            return scores
        order = np.argsort(group, kind="stable")
        edges = np.flatnonzero(np.diff(group[order])) + 1
        for part in np.split(order, edges):
            row, rows = np.unique(regions[part], return_inverse=True)
            column, columns = np.unique(texts[part], return_inverse=True)
            product = self.regions[row].astype(np.float64) @ self.texts[column].astype(np.float64).T
            scores[part] = product[rows, columns]
        return scores


def embed(
    model: RegionModel,
    pool: Pool,
    *,
    batch_size: int = 128,
    progress: Progress | None = None,
    unreadable: Unreadable | None = None,
) -> Embedded:
    """Encode every region and every sentence of a pool once, in batches of so many regions.

    The model is whatever `region_encoder` takes, or an object that has `encode_regions`,
    `encode_inferences` and, optionally, `protocol` itself. Our own encoders give regions of pictures
    that `unreadable` notes NaN; whoever scores leaves them out.

    Raises:
        UserError: An embedding is not finite, or a picture cannot be read.
    """
    encoder, progress = region_encoder(model), progress or Quiet()
    if unreadable is not None and isinstance(encoder, RegionEncoder | BoxPooledEncoder):
        regions = encoder.encode_regions(
            pool.regions, batch_size=batch_size, progress=progress, unreadable=unreadable
        )
        good = unreadable.readable([region.image for region in pool.regions]).numpy()
    else:
        regions = encoder.encode_regions(pool.regions, batch_size=batch_size, progress=progress)
        if unreadable is not None:  # none of them was, or the encoder had said so
            unreadable.close(model, [region.image for region in pool.regions])
        good = np.ones(len(pool.regions), dtype=bool)
    texts = encoder.encode_inferences(pool.texts, batch_size=2 * batch_size, progress=progress)
    arrays = []
    for name, value, finite in (
        ("regions", regions, good),
        ("inferences", texts, np.ones(len(pool.texts), dtype=bool)),
    ):
        array = value.detach().float().cpu().numpy()
        if len(array) != len(finite):
            raise ValueError(f"the encoder gave {len(array)} rows for {len(finite)} {name}")
        if not np.isfinite(array[finite]).all():
            raise UserError(
                f"an embedding of the {name} holds NaN or infinity, so nothing can be ranked: the "
                "checkpoint is damaged or its training diverged; use an earlier one"
            )
        arrays.append(array)
    return Embedded(arrays[0], arrays[1], getattr(encoder, "protocol", ""))
