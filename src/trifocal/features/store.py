"""The folder that keeps features of pictures, so that each is embedded once.

One folder for everything that decides a feature beside the picture itself (weights, transform,
views, seed); in it a `manifest.json` for people and any number of memory-mapped safetensors files
of some thousand features. A picture is known by a key of its own, so any list of pictures finds
those that any other list left there, an interrupted run goes on at its last file, and nothing has
to be made again because a neighbor changed. Every folder here may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from trifocal.data.picture_keys import KEY_BYTES
from trifocal.features.kept import Get, KeptFiles
from trifocal.files import atomic_write, sweep
from trifocal.version import __version__

Row = tuple[Tensor, int]  # features (n, V, d) of one file of the store, and which of the n


def default_cache() -> Path:
    """Return the user's folder for features: `trifocal/features` in `$XDG_CACHE_HOME`.

    Where that variable is not set, the folder is in `~/.cache`.
    """
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "trifocal" / "features"


class FeatureStore:
    """Features by key in one folder.

    Args:
        cache: Where all such folders are.
        facts: All that decides a feature beside the picture; plain data.
        notes: What else the manifest should say.
    """

    def __init__(
        self, cache: Path, facts: Mapping[str, Any], notes: Mapping[str, Any] | None = None
    ) -> None:
        key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
        self.folder = cache / key[:KEY_BYTES]
        self._files = KeptFiles(
            "store", key, "its pictures", f"features in {self.folder}", shaped=True
        )
        self._manifest = {**(notes or {}), **facts, "trifocal": __version__}

    def find(self, keys: Collection[bytes]) -> dict[bytes, Row]:
        """Return the rows that are here, by key; their tensors are mapped from the disk."""
        sweep(self.folder)
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
        named = torch.frombuffer(bytearray(b"".join(keys)), dtype=torch.uint8)
        tensors = {"features": features, "keys": named.view(-1, KEY_BYTES)}
        file = self.folder / f"{hashlib.sha256(b''.join(keys)).hexdigest()[:24]}.safetensors"
        rows: dict[bytes, Row] = {}
        if self._files.write(file, tensors):
            self._describe()
            rows = self._read(file, set(keys))
        return rows or {key: (features, row) for row, key in enumerate(keys)}

    def _read(self, file: Path, wanted: Collection[bytes]) -> dict[bytes, Row]:
        """Return those rows of a file that are wanted."""
        places: dict[bytes, int] = {}

        def load(get: Get) -> dict[str, Tensor] | None:
            keys = get("keys")
            packed = keys.numpy().tobytes()
            names = [packed[i : i + KEY_BYTES] for i in range(0, len(packed), KEY_BYTES)]
            places.update({name: row for row, name in enumerate(names) if name in wanted})
            if not places:
                return None
            features = get("features")
            if len(features) != len(names):
                raise ValueError(f"{len(features)} features of {len(names)} pictures")
            return {"features": features, "keys": keys}

        if self._files.read(file, load) is None:
            return {}
        # To look at every number has brought the file into memory; mapped anew, only rows that
        # are used are.
        with safe_open(file, "pt") as opened:
            features = opened.get_tensor("features")
        return {name: (features, row) for name, row in places.items()}

    def _describe(self) -> None:
        """Write the manifest where there is none yet."""
        file = self.folder / "manifest.json"
        if not file.is_file():
            with suppress(OSError), atomic_write(file) as aside:
                aside.write_text(json.dumps(self._manifest, indent=2) + "\n", encoding="utf-8")
