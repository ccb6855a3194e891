"""The folder that keeps features of pictures, so that each is embedded once.

One folder for everything that decides a feature beside the picture itself (weights, transform,
views, seed); in it a `manifest.json` for people and any number of memory-mapped safetensors files
of some thousand features. A picture is known by a key of its own, so any list of pictures finds
those that any other list left there, an interrupted run goes on at its last file, and nothing has
to be made again because a neighbor changed. Files are checked against a sum before they are used;
a damaged one is removed. Every folder here may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from trifocal.files import atomic_write
from trifocal.version import __version__

logger = logging.getLogger(__name__)

Row = tuple[Tensor, int]  # features (n, V, d) of one file of the store, and which of the n

KEY_BYTES = 16
_DAMAGE = (SafetensorError, KeyError, ValueError)  # what reading a bad file may raise


def default_cache() -> Path:
    """Return the user's folder for features: `trifocal/features` in `$XDG_CACHE_HOME`.

    Where that variable is not set, the folder is in `~/.cache`.
    """
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "trifocal" / "features"


def picture_key(file: Path) -> bytes:
    """Return what a picture is known by: a hash of its full path, its size and when it was changed.

    The rule of make and git: a picture whose content changes while its size and its time (in
    nanoseconds) stay is not noticed; one that is moved is embedded again. Reading every picture to
    hash it would take longer than anything else on a list that is already known.
    """
    try:
        status = file.stat()
        stamp = f"{status.st_size} {status.st_mtime_ns}"
    except OSError:
        stamp = "missing"  # never kept, since it cannot be embedded
    return hashlib.sha256(f"{os.path.abspath(file)}\0{stamp}".encode()).digest()[:KEY_BYTES]


class FeatureStore:
    """Features by key in one folder.

    A folder that cannot be written to costs the cache alone: a warning says so, once.

    Args:
        cache: Where all such folders are.
        facts: All that decides a feature beside the picture; plain data.
        notes: What else the manifest should say.
    """

    def __init__(
        self, cache: Path, facts: Mapping[str, Any], notes: Mapping[str, Any] | None = None
    ) -> None:
        self.key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
        self.folder = cache / self.key[:KEY_BYTES]
        self._manifest = {**(notes or {}), **facts, "trifocal": __version__}
        self._writable = True

    def find(self, keys: Collection[bytes]) -> dict[bytes, Row]:
        """Return the rows that are here, by key; their tensors are mapped from the disk."""
        wanted, found = set(keys), dict[bytes, Row]()
        for file in sorted(self.folder.glob("*.safetensors")):
            if not wanted:
                break
            rows = self._read(file, wanted)
            found.update(rows)
            wanted.difference_update(rows)
        return found

    def keep(self, keys: Sequence[bytes], features: Tensor) -> dict[bytes, Row]:
        """Write the features (n, V, d) of n keys; return the rows, mapped if they were written."""
        rows = {key: (features, row) for row, key in enumerate(keys)}
        named = torch.frombuffer(bytearray(b"".join(keys)), dtype=torch.uint8)
        tensors = {"features": features.contiguous(), "keys": named.view(-1, KEY_BYTES)}
        facts = {"store": self.key, "sum": _sum(tensors["features"], tensors["keys"])}
        file = self.folder / f"{hashlib.sha256(b''.join(keys)).hexdigest()[:24]}.safetensors"
        if not self._writable:
            return rows
        try:
            self._describe()
            with atomic_write(file) as aside:
                save_file(tensors, aside, facts)
        except (OSError, SafetensorError) as error:
            self._writable = False
            logger.warning("features cannot be kept in %s (%s)", self.folder, error)
            return rows
        return self._read(file, set(keys)) or rows

    def _read(self, file: Path, wanted: Collection[bytes]) -> dict[bytes, Row]:
        """Return those rows of a file that are wanted; remove a file that is damaged."""
        try:
            with safe_open(file, "pt") as opened:
                facts = opened.metadata() or {}
                keys = opened.get_tensor("keys")
                packed = keys.numpy().tobytes()
                names = [packed[i : i + KEY_BYTES] for i in range(0, len(packed), KEY_BYTES)]
                places = {name: row for row, name in enumerate(names) if name in wanted}
                if not places:
                    return {}
                features = opened.get_tensor("features")
            whole = len(features) == len(names) and facts.get("store") == self.key
            if whole and facts.get("sum") == _sum(features, keys):
                return {name: (features, row) for name, row in places.items()}
        except OSError as error:  # no right to read it, or another process removed it
            logger.warning("%s cannot be read (%s)", file, error)
            return {}
        except _DAMAGE:
            pass
        logger.warning("%s is damaged; its pictures are embedded again", file)
        with suppress(OSError):
            file.unlink()
        return {}

    def _describe(self) -> None:
        """Write the manifest where there is none yet."""
        file = self.folder / "manifest.json"
        if not file.is_file():
            with atomic_write(file) as aside:
                aside.write_text(json.dumps(self._manifest, indent=2) + "\n", encoding="utf-8")


def _sum(features: Tensor, keys: Tensor) -> str:
    """Return a checksum of the numbers: a file may be of the right length and yet be damaged."""
    digest = hashlib.sha256(repr(tuple(features.shape)).encode())
    for tensor in (features, keys):
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
