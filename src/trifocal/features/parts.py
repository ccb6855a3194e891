"""Chunks of a long job as files in a folder of their own, until the job is whole.

A chunk's file is named by a hash of its pictures' stamps and says what model made it, so that a job
that was stopped finds its own chunks, whatever was added to the list meanwhile.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from trifocal.features.corpus import Embedded
from trifocal.features.kept import Get, KeptFiles

_HASH = 32  # bytes of a hash of content


class Parts:
    """The finished chunks of a job.

    Args:
        target: What the job makes; its parts lie in a hidden folder beside it.
        facts: All that decides an embedding beside the picture.
    """

    def __init__(self, target: Path, facts: dict[str, str]) -> None:
        key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
        self.folder = target.with_name(f".{target.name}.{key[:12]}.parts")
        self._files = KeptFiles("key", key, "its pictures", f"parts of {target}", shaped=True)

    def find(self, stamps: Sequence[bytes]) -> Embedded | None:
        """Return the chunk of exactly these pictures, if it is done."""
        return self._read(self._file(stamps))

    def keep(self, stamps: Sequence[bytes], made: Embedded) -> None:
        """Write the chunk of these pictures."""
        told = json.dumps([[stamp.hex(), reason] for stamp, reason in made.bad]).encode()
        tensors = {
            "features": made.features,
            "stamps": _packed(made.stamps),
            "contents": _packed(made.contents),
            "bad": torch.frombuffer(bytearray(told), dtype=torch.uint8),
        }
        self._files.write(self._file(stamps), tensors)

    def all(self) -> Iterator[Embedded]:
        """Yield every chunk that is there."""
        for file in sorted(self.folder.glob("*.safetensors")):
            found = self._read(file)
            if found is not None:
                yield found

    def remove(self) -> None:
        """Remove the folder, once the job is whole."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _file(self, stamps: Sequence[bytes]) -> Path:
        name = hashlib.sha256(b"".join(stamps)).hexdigest()[:24]
        return self.folder / f"{name}.safetensors"

    def _read(self, file: Path) -> Embedded | None:
        def load(get: Get) -> dict[str, Tensor]:
            found = {name: get(name) for name in ("features", "stamps", "contents", "bad")}
            count = len(found["features"])
            if len(found["contents"]) != count or len(found["stamps"]) != count:
                raise ValueError("the parts of a chunk do not fit each other")
            return found

        found = self._files.read(file, load)
        if found is None:
            return None
        told = json.loads(bytes(found["bad"].numpy()))
        bad = [(bytes.fromhex(stamp), str(reason)) for stamp, reason in told]
        return Embedded(
            found["features"], _unpacked(found["stamps"]), _unpacked(found["contents"]), bad
        )


def _packed(rows: Sequence[bytes]) -> Tensor:
    """Return (n, bytes) uint8 of n byte strings of one length."""
    if not rows:
        return torch.empty(0, _HASH, dtype=torch.uint8)
    return torch.frombuffer(bytearray(b"".join(rows)), dtype=torch.uint8).view(len(rows), -1)


def _unpacked(rows: Tensor) -> list[bytes]:
    return [bytes(row) for row in rows.numpy()]
