"""Features of one list of texts, kept in a file beside the file that holds the list.

The features of `bank.txt` are in `bank.txt.<12 hex digits>.safetensors`; the digits are a hash of
all that decides them. A long list is embedded chunk by chunk, and what an interrupted run left in
`.bank.txt.<12 hex digits>.parts` is used. When a cache is written, those it replaces go: any of
other texts, and any that a model of the same name (trained further, say) made of the same texts.
So there is one a model at most.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from trifocal.features.kept import DAMAGE, Get, KeptFiles
from trifocal.progress import Progress

CHUNK = 16_384  # texts embedded at a time; an interrupted run loses no more
SAME_MODEL = ("model", "written")  # the facts in which a model trained further does not differ


class ListCache:
    """Where the features of a list are kept.

    Args:
        beside: The file that holds the list.
        facts: All that decides the features: "texts", "model", "written" and more.
        what: What the texts are, in the plural.
    """

    def __init__(self, beside: Path, facts: Mapping[str, str], what: str) -> None:
        self.facts, self.key, self.what = facts, facts_key(facts), what
        self._beside = beside
        self._file = beside.with_name(f"{beside.name}.{self.key[:12]}.safetensors")
        self._parts = beside.with_name(f".{beside.name}.{self.key[:12]}.parts")
        self._files = KeptFiles(
            "key", self.key, f"the {what}", f"the embeddings of {beside}", facts
        )

    def features(
        self,
        texts: Sequence[str],
        embed: Callable[[Sequence[str]], Tensor],
        progress: Progress,
    ) -> Tensor:
        """Return the features (T, D) of the list, out of the cache as far as they are there.

        Args:
            texts: The T texts.
            embed: Returns the features of some of them.
            progress: Told of the texts, if any has to be embedded.
        """
        features = self._read(self._file, len(texts))
        if features is None:
            progress.start(self.what, len(texts))
            features = self._in_parts(texts, embed, progress)
            if self._files.write(self._file, {"features": features}):
                shutil.rmtree(self._parts, ignore_errors=True)
                self._drop_replaced()
        return features

    def _in_parts(
        self,
        texts: Sequence[str],
        embed: Callable[[Sequence[str]], Tensor],
        progress: Progress,
    ) -> Tensor:
        """Embed the list chunk by chunk, but for those that an interrupted run left behind."""
        if len(texts) <= CHUNK:
            return embed(texts)
        parts = []
        for start in range(0, len(texts), CHUNK):
            chunk, file = (
                texts[start : start + CHUNK],
                self._parts / f"{start // CHUNK:06d}.safetensors",
            )
            part = self._read(file, len(chunk))
            if part is not None:
                progress.advance(len(chunk))
            else:
                part = embed(chunk)
                self._files.write(file, {"features": part})
            parts.append(part)
        return torch.cat(parts)

    def _read(self, file: Path, count: int) -> Tensor | None:
        def load(get: Get) -> dict[str, Tensor]:
            features = get("features")
            if len(features) != count:
                raise ValueError(f"{len(features)} features of {count} texts")
            return {"features": features}

        tensors = self._files.read(file, load) if file.is_file() else None
        return None if tensors is None else tensors["features"]

    def _drop_replaced(self) -> None:
        name = re.escape(self._beside.name)
        ours = re.compile(rf"{name}\.[0-9a-f]{{12}}\.safetensors|\.{name}\.[0-9a-f]{{12}}\.parts")
        for found in list(self._beside.parent.iterdir()):
            if not ours.fullmatch(found.name) or found == self._file:
                continue
            file = next(found.glob("*.safetensors"), None) if found.is_dir() else found
            with suppress(OSError, *DAMAGE):
                if file is None or not self._replaces(_facts_in(file)):
                    continue
                if found.is_dir():
                    shutil.rmtree(found, ignore_errors=True)
                else:
                    found.unlink()

    def _replaces(self, facts: Mapping[str, str]) -> bool:
        kind = self.facts["format"].rpartition("-")[0]
        if facts.get("format", "").rpartition("-")[0] != kind:
            return False
        same = all(facts.get(name) == self.facts[name] for name in SAME_MODEL)
        return facts.get("texts") != self.facts["texts"] or same


def facts_key(facts: Mapping[str, str]) -> str:
    """Return a hash of all that decides some features."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _facts_in(file: Path) -> dict[str, str]:
    with safe_open(file, "pt") as opened:
        return opened.metadata() or {}
