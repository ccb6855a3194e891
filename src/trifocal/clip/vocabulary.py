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
LARGEST = 2  # as transformers writes it; no CLIP's text ends with this id

logger = logging.getLogger(__name__)


def find_tokenizer(
    given: Tokenizer | str | Path | None,
    folder: Path | None,
    vocab_size: int,
    end_id: object = LARGEST,
) -> Tokenizer:
    """Return the tokenizer of a checkpoint.

    Args:
        given: a tokenizer, or its folder or file; None to look for it.
        folder: where the weights lie, if they are on this disk.
        vocab_size: ids that the text tower knows. It may know more than the tokenizer makes
            (tables are padded to a round number) where `end_id` shows that the two belong together.
        end_id: the id at whose place the text tower pools. `LARGEST` stands for the largest id of a
            text: so in open_clip, and in transformers where `eos_token_id` is 2.

    Raises:
        UserError: none is found, or the one given does not fit.
    """
    if given is not None:
        tokenizer = given if isinstance(given, Tokenizer) else Tokenizer.load(given)
        if not _fits(tokenizer, vocab_size, end_id):
            raise UserError(
                f"the tokenizer has {tokenizer.vocab_size} ids but the text tower {vocab_size}; "
                "give the tokenizer that belongs to these weights."
            )
        if folder is not None and _has_own(folder, vocab_size, end_id):
            logger.warning(
                "%s has a tokenizer of its own, in whose place the stated one is used", folder
            )
        return _pooled_at_its_end(tokenizer, end_id)
    beside = _beside(folder) if folder is not None else None
    if beside is not None and beside.largest_id >= vocab_size:
        raise UserError(
            f"the tokenizer in {folder} makes ids up to {beside.largest_id}, but the weights have "
            f"embeddings for {vocab_size}; take its added tokens out, or give the weights that "
            "were trained with them."
        )
    if beside is not None and _fits(beside, vocab_size, end_id):
        return _pooled_at_its_end(beside, end_id)
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
            return _pooled_at_its_end(found, end_id)
    raise UserError(
        f"these weights come without a tokenizer ({vocab_size} ids); put its tokenizer.json"
        f"{f' or {BPE_FILE}' if vocab_size == CLIP_VOCABULARY else ''} beside them, or name it "
        "with tokenizer=."
    )


def _has_own(folder: Path, vocab_size: int, end_id: object) -> bool:
    """Whether a tokenizer that fits lies beside the weights; a damaged one is none."""
    try:
        beside = _beside(folder)
    except UserError:
        return False
    return beside is not None and _fits(beside, vocab_size, end_id)


def _fits(tokenizer: Tokenizer, vocab_size: int, end_id: object) -> bool:
    """Whether a tokenizer can be the one of weights with embeddings for `vocab_size` ids."""
    if tokenizer.largest_id >= vocab_size:
        return False
    padded = vocab_size != CLIP_VOCABULARY and end_id == tokenizer.eot_id
    return tokenizer.vocab_size == vocab_size or padded


def _pooled_at_its_end(tokenizer: Tokenizer, end_id: object) -> Tokenizer:
    """Return the tokenizer, if its texts end where the text tower pools."""
    if end_id == LARGEST and tokenizer.eot_id != tokenizer.largest_id:
        raise UserError(
            f"the text tower pools at a text's largest id, but texts end with {tokenizer.eot_id} and "
            f"added tokens go up to {tokenizer.largest_id}; state the end of text "
            f'("eos_token_id": {tokenizer.eot_id} in text_config), or take the added tokens out.'
        )
    if end_id not in (LARGEST, tokenizer.eot_id):
        raise UserError(
            f"config.json has text_config.eos_token_id {end_id!r}, but the tokenizer ends texts with "
            f"{tokenizer.eot_id}: the text tower would pool elsewhere; set it to {tokenizer.eot_id}."
        )
    return tokenizer


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
