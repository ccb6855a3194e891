"""A bank of explanations: a file with one on each line, embedded once and kept beside it.

Regions are explained by the entries of a bank that lie nearest to them. The embeddings of
`bank.txt` are in `bank.txt.<12 hex digits>.safetensors` (see `features.list_cache`); the digits are
a hash of the texts, the model's weights and tokenizer, and how its prompt writes a text, so that a
change of any leads to another file.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from trifocal.data.json_stream import MAX_BYTES
from trifocal.data.keys import check_keys, unique
from trifocal.data.sherlock_files import read_instances
from trifocal.errors import UserError
from trifocal.features.list_cache import ListCache, facts_key
from trifocal.progress import Onward, Progress, Quiet
from trifocal.regions.encoder import EmbedsRegions, RegionEncoder
from trifocal.regions.texts import inference_text

FORMAT = "trifocal-bank-1"
FLOAT32_BYTES = 256 << 20  # larger banks are kept in float16; their cosines move by less than 5e-4
_WHAT = "explanations"
_SCORED = 65_536  # entries scored at a time


@dataclass(frozen=True)
class Bank:
    """Explanations to choose from."""

    texts: list[str]  # T distinct texts, in the order of the file
    features: Tensor  # (T, D) unit rows on the CPU, float32, or float16 above `FLOAT32_BYTES`
    key: str = ""  # a hash of what the features were made from

    def best(self, queries: Tensor, top: int) -> tuple[Tensor, Tensor]:
        """Return the highest cosines of (N, D) float32 embeddings of regions, and whose they are.

        Both are (N, min(top, T)), the best first.
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
    encoder: EmbedsRegions,
    *,
    texts: list[str] | None = None,
    progress: Progress | None = None,
) -> Bank:
    """Read a bank and embed it, or take the embeddings from its cache.

    `texts` are those of `read_bank(path)`, if it was called before.

    A folder that cannot be written to costs the cache alone: a warning says so. A model that has
    no fingerprint is never cached.

    Raises:
        UserError: the file is no bank.
    """
    texts = read_bank(path) if texts is None else texts
    whole, size = progress or Quiet(), len(texts)

    def embed(chunk: Sequence[str]) -> Tensor:
        features = encoder.encode_inferences(chunk, progress=Onward(whole))
        return features.half() if size * features.shape[1] * 4 > FLOAT32_BYTES else features

    facts = _facts(texts, encoder)
    if "weights" in facts:
        features = ListCache(Path(path), facts, _WHAT).features(texts, embed, whole)
    else:
        whole.start(_WHAT, size)
        features = embed(texts)
    return Bank(texts, features, facts_key(facts))


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
            entry = json.loads(line, object_pairs_hook=unique)
            if isinstance(entry, dict):
                check_keys(entry, ("text",), slips=True)
        except UserError as error:
            raise UserError(f"the bank {file}, line {number}: {error}") from None
        except (ValueError, RecursionError):
            entry = None
        if not isinstance(entry, dict) or not isinstance(entry.get("text"), str):
            raise UserError(
                f'the bank {file}, line {number} is not like {{"text": "it will rain"}}; mend it.'
            )
        yield entry["text"]


def _facts(texts: Sequence[str], encoder: EmbedsRegions) -> dict[str, str]:
    """Return all that decides the embeddings; without "weights" they cannot be told apart."""
    content = hashlib.sha256()
    for text in texts:
        content.update(text.encode() + b"\n")
    facts = {"format": FORMAT, "texts": content.hexdigest(), "model": str(encoder.name)}
    if isinstance(encoder, RegionEncoder):
        fingerprint = getattr(encoder.clip, "fingerprint", None)
        tokenizer = getattr(encoder.clip, "tokenizer", None)
        if fingerprint is not None and tokenizer is not None:
            facts["weights"] = fingerprint()
            settings = (tokenizer.backend.to_str(), tokenizer.context_length, tokenizer.cleaning)
            facts["tokenizer"] = hashlib.sha256(repr(settings).encode()).hexdigest()
            facts["written"] = inference_text("x", encoder.prompt)
    return facts
