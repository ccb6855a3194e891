"""Find the tokenizer for weights that come without one, as open_clip's files do.

Looked for in this order: what the caller names; beside the weights; the vocabulary inside an
installed `open_clip` or `clip` package (found, not imported); the Hub's cache and the Hub.
"""

from __future__ import annotations

import logging
from importlib.util import find_spec
from pathlib import Path

from huggingface_hub import snapshot_download

from trifocal.clip.shape import CLIP_VOCABULARY
from trifocal.clip.tokenizer import Tokenizer
from trifocal.errors import UserError

HUB_TOKENIZER = "openai/clip-vit-base-patch32"
TOKENIZER_FILE = "tokenizer.json"
BPE_FILE = "bpe_simple_vocab_16e6.txt.gz"

logger = logging.getLogger(__name__)


def find_tokenizer(
    given: Tokenizer | str | Path | None, folder: Path | None, vocab_size: int
) -> Tokenizer:
    """Return the tokenizer of a checkpoint.

    Args:
        given: a tokenizer, or its folder or file; None to look for it.
        folder: where the weights lie, if they are on this disk.
        vocab_size: ids that the text tower knows.

    Raises:
        UserError: none is found, or the one given does not fit.
    """
    if given is not None:
        tokenizer = given if isinstance(given, Tokenizer) else Tokenizer.load(given)
        if tokenizer.vocab_size != vocab_size:
            raise UserError(
                f"the tokenizer has {tokenizer.vocab_size} ids but the text tower {vocab_size}; "
                "give the tokenizer that belongs to these weights."
            )
        return tokenizer
    beside = _beside(folder) if folder is not None else None
    if beside is not None and beside.vocab_size == vocab_size:
        return beside
    if beside is not None:
        logger.warning(
            "the tokenizer in %s has %d ids, the weights %d: it is not theirs and is left alone",
            folder,
            beside.vocab_size,
            vocab_size,
        )
    if vocab_size == CLIP_VOCABULARY:
        found = _installed() or _from_hub()
        if found is not None:
            return found
    raise UserError(
        f"these weights come without a tokenizer ({vocab_size} ids); put its tokenizer.json"
        f"{f' or {BPE_FILE}' if vocab_size == CLIP_VOCABULARY else ''} beside them, or name it "
        "with tokenizer=."
    )


def _beside(folder: Path) -> Tokenizer | None:
    if (folder / "tokenizer.json").is_file() or (folder / "vocab.json").is_file():
        return Tokenizer.load(folder)
    if (folder / BPE_FILE).is_file():
        return Tokenizer.load(folder / BPE_FILE)
    return None


def _installed() -> Tokenizer | None:
    for package in ("open_clip", "clip"):
        spec = find_spec(package)
        for place in (spec.submodule_search_locations or []) if spec else []:
            path = Path(place) / BPE_FILE
            if path.is_file():
                logger.info("tokenizer: the vocabulary of the installed package %s", package)
                return Tokenizer.load(path)
    return None


def _from_hub() -> Tokenizer | None:
    try:
        # Unlike the download of one file, this gives up at once where there is no network.
        folder = Path(snapshot_download(HUB_TOKENIZER, allow_patterns=[TOKENIZER_FILE]))
    except Exception as error:  # offline, proxy, rate limit: each client library has its own
        logger.info("no tokenizer from the Hub: %s", error)
        return None
    path = folder / TOKENIZER_FILE
    return Tokenizer.load(path) if path.is_file() else None
