"""A table of texts and their embeddings, as a folder.

`texts.json` is a list of N strings, `embeddings.safetensors` holds the tensor `embeddings` (N, D) of
any float type. Nothing but the rows that are asked for is read, and a text costs eight bytes of
memory: its hash.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from trifocal.errors import UserError
from trifocal.files import atomic_folder, check_folder

KIND = "text table"
TEXTS, EMBEDDINGS = "texts.json", "embeddings.safetensors"
_TENSOR = "embeddings"


class TextTable:
    """Embeddings (N, D) by text.

    Args:
        folder: What `save_text_table` wrote, or two such files made otherwise.

    Attributes:
        texts: The N texts; given away by `forget_texts`.

    Raises:
        UserError: a file is missing or damaged, or the two do not fit each other.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = folder = Path(folder).expanduser()
        self.texts: tuple[str, ...] = tuple(_read_texts(folder / TEXTS))
        self.embeddings = _read_embeddings(folder / EMBEDDINGS)
        if self.embeddings.ndim != 2 or len(self.embeddings) != len(self.texts):
            raise UserError(
                f"{folder / EMBEDDINGS} has the shape {tuple(self.embeddings.shape)}, but "
                f"{TEXTS} has {len(self.texts)} texts; give one row for each."
            )
        if not self.embeddings.is_floating_point():
            raise UserError(
                f"{folder / EMBEDDINGS} holds no floats; write it in float16 or float32."
            )
        hashes = np.fromiter((_hash(t) for t in self.texts), np.uint64, len(self.texts))
        self._order = np.argsort(hashes, kind="stable")
        self._hashes = hashes[self._order]

    def __len__(self) -> int:
        return len(self._hashes)

    @property
    def width(self) -> int:
        """Width D of an embedding."""
        return self.embeddings.shape[1]

    def rows(self, texts: Sequence[str]) -> Tensor:
        """Return the row of each text (T,), -1 for one that the table does not have."""
        wanted = np.fromiter((_hash(text) for text in texts), np.uint64, len(texts))
        places = np.searchsorted(self._hashes, wanted)
        found = np.full(len(wanted), -1, dtype=np.int64)
        near = np.minimum(places, len(self) - 1)
        there = self._hashes[near] == wanted if len(self) else np.zeros(len(wanted), bool)
        found[there] = self._order[near[there]]
        return torch.from_numpy(found)


def check_text_table(folder: str | Path, *, force: bool = False) -> None:
    """Refuse a folder that `save_text_table` would refuse; see there."""
    check_folder(folder, KIND, force=force)


def save_text_table(
    folder: str | Path, texts: Sequence[str], embeddings: Tensor, *, force: bool = False
) -> None:
    """Write a table of texts (N) and their embeddings (N, D).

    Raises:
        UserError: the folder holds something that is no table, or `force` is not given.
    """
    if len(texts) != len(embeddings):
        raise ValueError(f"{len(texts)} texts have {len(embeddings)} embeddings")
    with atomic_folder(folder, KIND, force=force) as aside:
        (aside / TEXTS).write_text(json.dumps(list(texts), ensure_ascii=False), encoding="utf-8")
        save_file({_TENSOR: embeddings.contiguous()}, aside / EMBEDDINGS)


def _hash(text: str) -> int:
    raw = text.strip().encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(raw, digest_size=8).digest(), "little")


def _read_texts(path: Path) -> list[str]:
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise UserError(f"{path.parent} is no table of texts: it has no {path.name}.") from None
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read: {error}.") from None
    if not isinstance(content, list) or not all(isinstance(text, str) for text in content):
        raise UserError(f"{path} is not a list of texts.")
    return content


def _read_embeddings(path: Path) -> Tensor:
    """Return the tensor as it is mapped from the disk."""
    try:
        with safe_open(path, "pt") as opened:
            return opened.get_tensor(_TENSOR)
    except FileNotFoundError:
        raise UserError(f"{path.parent} is no table of texts: it has no {path.name}.") from None
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path} has no tensor {_TENSOR!r}: {error}.") from None
