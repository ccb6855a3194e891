"""A bank of explanations: a file with one on each line, embedded once and kept beside it.

Regions are explained by the entries of a bank that lie nearest to them. The embeddings of
`bank.txt` are in `bank.txt.<12 hex digits>.safetensors`; the digits are a hash of the texts, the
model's weights and tokenizer, and how its prompt writes a text, so that a change of any leads to
another file. A cache that is damaged, or that holds something else, is made again.

When a cache is written, those it replaces go: any of other texts, and any that a model of the same
name (trained further, say) made of the same texts. So there is one a model at most.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from trifocal.data.json_stream import MAX_BYTES
from trifocal.data.sherlock_files import read_instances
from trifocal.errors import UserError
from trifocal.files import atomic_write
from trifocal.progress import Onward, Progress, Quiet
from trifocal.regions.texts import inference_text

logger = logging.getLogger(__name__)

FORMAT = "trifocal-bank-1"
FLOAT32_BYTES = 256 << 20  # larger banks are kept in float16; their cosines move by less than 5e-4
CHUNK = 16_384  # texts embedded at a time; an interrupted run loses no more
_SCORED = 65_536  # entries scored at a time
_DAMAGE = (SafetensorError, OSError, KeyError, ValueError)  # what reading a bad file may raise


@dataclass(frozen=True)
class Bank:
    """Explanations to choose from.

    Attributes:
        texts: T distinct texts, in the order of the file.
        features: (T, D) unit rows on the CPU, float32, or float16 above `FLOAT32_BYTES`.
        key: A hash of what the features were made from.
    """

    texts: list[str]
    features: Tensor
    key: str = ""

    def best(self, queries: Tensor, top: int) -> tuple[Tensor, Tensor]:
        """Return the highest cosines and whose they are, each (N, min(top, T)), best first.

        Args:
            queries: (N, D) float32 embeddings of regions.
            top: How many of each.
        """
        scores = torch.empty(len(queries), 0)
        places = torch.empty(len(queries), 0, dtype=torch.long)
        for start in range(0, len(self.features), _SCORED):
            part = queries @ self.features[start : start + _SCORED].float().T
            found = part.topk(min(top, part.shape[1]), dim=1)
            scores = torch.cat([scores, found.values], dim=1)
            places = torch.cat([places, found.indices + start], dim=1)
            order = scores.argsort(dim=1, descending=True, stable=True)[:, :top]
            scores, places = scores.gather(1, order), places.gather(1, order)
        return scores, places


def load_bank(
    path: str | os.PathLike[str],
    encoder: Any,
    *,
    texts: list[str] | None = None,
    progress: Progress | None = None,
) -> Bank:
    """Read a bank and embed it, or take the embeddings from its cache.

    A folder that cannot be written to costs the cache alone: a warning says so. A model that has
    no fingerprint is never cached.

    Args:
        path: See `read_bank`.
        encoder: What `regions.region_encoder` returns.
        texts: What `read_bank` returned, if it was called before.
        progress: Told of every text that is embedded.

    Raises:
        UserError: the file is no bank.
    """
    texts = read_bank(path) if texts is None else texts
    facts = _facts(texts, encoder)
    key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    progress = progress or Quiet()
    if "weights" not in facts:
        return Bank(texts, torch.cat(list(_embedded(texts, encoder, progress))), key)
    cache = _Cache(Path(path), key, facts, encoder.clip.embed_dim)
    features = cache.read(cache.file, len(texts))
    if features is None:
        features = torch.cat(list(_embedded(texts, encoder, progress, cache)))
        cache.keep(features)
    return Bank(texts, features, key)


def read_bank(path: str | os.PathLike[str]) -> list[str]:
    """Return the distinct explanations of a file, white space made single, in order.

    Args:
        path: `.txt` (or no suffix) has one a line; `.jsonl` a `{"text": …}` a line; `.json` or
            `.zip` is an annotation file in Sherlock's layout, whose inferences are taken.

    Raises:
        UserError: the file is missing, of another kind, or without any text.
    """
    file = Path(path)
    if not file.is_file():
        raise UserError(
            f"there is no bank at {file}; give a text file with an explanation on each line."
        )
    if file.stat().st_size > MAX_BYTES:
        raise UserError(f"the bank {file} is larger than {MAX_BYTES >> 30} GiB; split it.")
    suffix = file.suffix.lower()
    if suffix in (".json", ".zip"):
        found: Iterable[str] = (one.item.inference for one in read_instances(file))
    elif suffix == ".jsonl":
        found = _json_texts(file)
    elif suffix in (".txt", ""):
        found = (line for _, line in _lines(file))
    else:
        raise UserError(
            f"the bank {file} is neither .txt (an explanation on each line), .jsonl "
            '({"text": …} on each line) nor .json (Sherlock\'s layout); save it as one of these.'
        )
    texts = list(dict.fromkeys(_clean(text) for text in found if text.strip()))
    if not texts:
        raise UserError(f"the bank {file} is empty; give an explanation on each line.")
    return texts


def _clean(text: str) -> str:
    """Return a text with single spaces, and without the halves of letters that JSON may hold."""
    return " ".join(text.split()).encode("utf-8", "replace").decode("utf-8")


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    """Yield number and content of lines that are not empty."""
    try:
        with file.open(encoding="utf-8-sig") as handle:
            for number, line in enumerate(handle, start=1):
                if line.strip():
                    yield number, line
    except UnicodeDecodeError:
        raise UserError(f"the bank {file} is not UTF-8 text; save it as such.") from None
    except OSError as error:
        raise UserError(f"the bank {file} cannot be read ({error.strerror}).") from None


def _json_texts(file: Path) -> Iterator[str]:
    for number, line in _lines(file):
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            entry = None
        if not isinstance(entry, dict) or not isinstance(entry.get("text"), str):
            raise UserError(
                f'the bank {file}, line {number} is not like {{"text": "it will rain"}}; mend it.'
            )
        yield entry["text"]


def _facts(texts: Sequence[str], encoder: Any) -> dict[str, str]:
    """Return all that decides the embeddings; without "weights" they cannot be told apart."""
    content = hashlib.sha256()
    for text in texts:
        content.update(text.encode() + b"\n")
    facts = {"format": FORMAT, "texts": content.hexdigest(), "model": str(encoder.name)}
    clip, prompt = getattr(encoder, "clip", None), getattr(encoder, "prompt", None)
    if prompt is not None and clip is not None and hasattr(clip, "fingerprint"):
        facts["weights"] = clip.fingerprint()
        words = clip.tokenizer
        settings = repr((words.backend.to_str(), words.context_length, words.cleaning))
        facts["tokenizer"] = hashlib.sha256(settings.encode()).hexdigest()
        facts["written"] = inference_text("x", prompt)
    return facts


def _embedded(
    texts: Sequence[str], encoder: Any, progress: Progress, cache: _Cache | None = None
) -> Iterator[Tensor]:
    """Yield the embeddings chunk by chunk, those that an interrupted run left behind included."""
    progress.start("explanations", len(texts))
    parts = cache if len(texts) > CHUNK else None  # a short bank is made in one go
    for number, start in enumerate(range(0, len(texts), CHUNK)):
        chunk = texts[start : start + CHUNK]
        features = parts.read_part(number, len(chunk)) if parts else None
        if features is not None:
            progress.advance(len(chunk))
        else:
            features = encoder.encode_inferences(chunk, progress=Onward(progress))
            if len(texts) * features.shape[1] * 4 > FLOAT32_BYTES:
                features = features.half()
            if parts:
                parts.keep_part(number, features)
        yield features


class _Cache:
    """The file beside a bank, and the folder of parts while it is made."""

    def __init__(self, bank: Path, key: str, facts: dict[str, str], width: int) -> None:
        self.bank, self.key, self.facts, self.width = bank, key, facts, width
        self.file = bank.with_name(f"{bank.name}.{key[:12]}.safetensors")
        self.parts = bank.with_name(f".{bank.name}.{key[:12]}.parts")
        self._writable = True

    def read(self, file: Path, count: int) -> Tensor | None:
        """Return the `count` embeddings in a file, None where it has not just these."""
        if not file.is_file():
            return None
        try:
            with safe_open(file, "pt") as opened:
                facts, features = opened.metadata() or {}, opened.get_tensor("features")
            good = facts.get("key") == self.key and features.shape == (count, self.width)
            if good and facts.get("sum") == _sum(features):
                return features
        except _DAMAGE:
            pass
        logger.warning("%s is damaged; the explanations are embedded again", file)
        return None

    def read_part(self, number: int, count: int) -> Tensor | None:
        return self.read(self._part(number), count)

    def keep_part(self, number: int, features: Tensor) -> None:
        self._write(self._part(number), features)

    def keep(self, features: Tensor) -> None:
        """Write the cache; then remove its parts and the caches it replaces."""
        if self._write(self.file, features):
            shutil.rmtree(self.parts, ignore_errors=True)
            self._drop_replaced()

    def _part(self, number: int) -> Path:
        return self.parts / f"{number:06d}.safetensors"

    def _write(self, file: Path, features: Tensor) -> bool:
        """Write a file; after a failure no other is tried."""
        if self._writable:
            facts = {**self.facts, "key": self.key, "sum": _sum(features)}
            try:
                with atomic_write(file) as aside:
                    save_file({"features": features.contiguous()}, aside, facts)
            except (OSError, SafetensorError) as error:
                self._writable = False
                logger.warning("the embeddings of %s cannot be kept (%s)", self.bank, error)
        return self._writable

    def _drop_replaced(self) -> None:
        name = re.escape(self.bank.name)
        ours = re.compile(rf"{name}\.[0-9a-f]{{12}}\.safetensors|\.{name}\.[0-9a-f]{{12}}\.parts")
        for found in list(self.bank.parent.iterdir()):
            if not ours.fullmatch(found.name) or found == self.file:
                continue
            file = next(found.glob("*.safetensors"), None) if found.is_dir() else found
            with suppress(*_DAMAGE):
                if file is None or not self._replaces(_metadata(file)):
                    continue
                if found.is_dir():
                    shutil.rmtree(found, ignore_errors=True)
                else:
                    found.unlink()

    def _replaces(self, facts: dict[str, str]) -> bool:
        if not facts.get("format", "").startswith("trifocal-bank-"):
            return False
        same = all(facts.get(name) == self.facts[name] for name in ("model", "written"))
        return facts.get("texts") != self.facts["texts"] or same


def _metadata(file: Path) -> dict[str, str]:
    with safe_open(file, "pt") as opened:
        return opened.metadata() or {}


def _sum(features: Tensor) -> str:
    """Return a checksum of the numbers: a file may be of the right length and yet be damaged."""
    content = features.contiguous().view(-1).view(torch.uint8).numpy()
    return hashlib.sha256(content.data).hexdigest()
