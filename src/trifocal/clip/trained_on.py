"""Which pictures a model was trained on, kept with its weights: a test on them is too easy.

A picture is known by the first 8 bytes of the SHA-256 of its file, whatever it is called, so a copy
under another name is known too, and nobody can see from the list what a picture shows. Two different
ones among ten million have one hash with a chance of 1 to 400,000.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from trifocal.errors import UserError

FILE = "trained_on.safetensors"
BYTES = 8
_TENSOR, _FORMAT = "sha256", {"format": "trifocal-trained-on-1"}


class TrainedOn:
    """A set of pictures.

    Args:
        hashes: (N,) uint64, the 8 bytes of each read with the highest first; in any order.
    """

    def __init__(self, hashes: Any = ()) -> None:
        self._rows = np.unique(np.asarray(hashes, np.uint64)).astype(">u8").view(np.uint8)
        self._rows = self._rows.reshape(-1, BYTES)

    @classmethod
    def of(cls, digests: Iterable[bytes]) -> TrainedOn:
        """Return the set of pictures with these SHA-256 digests, of which the first bytes count."""
        return cls(_numbers(digests))

    @classmethod
    def read(cls, folder: str | Path) -> TrainedOn:
        """Return what a model folder remembers, empty where nothing is written.

        The file is mapped: nothing of it is read until somebody asks.

        Raises:
            UserError: it is damaged.
        """
        file, found = Path(folder) / FILE, cls()
        if not file.is_file():
            return found
        try:
            rows = load_file(file)[_TENSOR]
            if rows.dtype != torch.uint8 or rows.ndim != 2 or rows.shape[1] != BYTES:
                raise ValueError(f"{_TENSOR} is {tuple(rows.shape)} of {rows.dtype}")
        except (SafetensorError, KeyError, ValueError, OSError) as error:
            raise UserError(
                f"{file} is damaged ({error}); get it again, or delete it, and what the model was "
                "trained on is not known."
            ) from None
        found._rows = rows.numpy()
        return found

    @property
    def hashes(self) -> np.ndarray:
        """(N,) uint64, sorted."""
        return np.unique(np.ascontiguousarray(self._rows).view(">u8")[:, 0].astype(np.uint64))

    def count(self, digests: Iterable[bytes]) -> int:
        """Return how many of some pictures, by their digests, are in the set."""
        return int(np.isin(_numbers(digests), self.hashes).sum())

    def write(self, folder: str | Path) -> None:
        """Write the set into a model folder; an empty one leaves no file."""
        if len(self):
            rows = self.hashes.astype(">u8").view(np.uint8).reshape(-1, BYTES)
            save_file({_TENSOR: torch.from_numpy(rows)}, Path(folder) / FILE, _FORMAT)

    def __len__(self) -> int:
        return len(self._rows)

    def __or__(self, other: TrainedOn) -> TrainedOn:
        if not len(self) or not len(other):
            return self if len(self) else other
        return TrainedOn(np.concatenate([self.hashes, other.hashes]))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TrainedOn) and np.array_equal(self.hashes, other.hashes)

    __hash__ = None  # type: ignore[assignment]  # compared by content, and long


def _numbers(digests: Iterable[bytes]) -> np.ndarray:
    joined = b"".join(digest[:BYTES] for digest in digests)
    return np.frombuffer(joined, ">u8").astype(np.uint64)
