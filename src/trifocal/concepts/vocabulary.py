"""Text concepts: the words that visual concepts are found with, shipped or a user's own.

CCLI (Zhang et al., arXiv 2307.15460) is driven by a set of semantic text concepts: materials,
colors, shapes and the like. Its list is not public. `concepts.txt` beside this file was written for
trifocal: about 2,000 attributes and parts, each with a family, and no names of things to classify
(a test checks that). A user's list takes its place whatever its length.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from trifocal.clip.encoder import Encoder
from trifocal.clip.tokenizer import Tokenizer
from trifocal.concepts.prompts import ensemble
from trifocal.data.classes import prompts
from trifocal.data.picture_keys import KEY_BYTES
from trifocal.errors import UserError
from trifocal.features.embed import encode_texts, tokenize
from trifocal.features.store import FeatureStore
from trifocal.progress import Progress

logger = logging.getLogger(__name__)

SHIPPED = Path(__file__).with_name("concepts.txt")
TEMPLATES = ("The photo is {}.",)
FEW = 50  # fewer concepts than this hardly tell classes apart
MAX_CUT = 0.05  # share of concepts that may be longer than the text tower reads
_MAX_BYTES = 64 << 20  # no list of words is longer; a wrong file is

Source = str | os.PathLike[str] | Sequence[str]


@dataclass(frozen=True)
class Vocabulary:
    """Text concepts, in the order of their source.

    Attributes:
        names: I words or short phrases; no two are equal in the sense of `normalized`.
        families: I families such as "color" or "part"; None where the source names none.
    """

    names: tuple[str, ...]
    families: tuple[str | None, ...]

    def __post_init__(self) -> None:
        if len(self.names) != len(self.families):
            raise ValueError(f"{len(self.names)} names, but {len(self.families)} families")

    def __len__(self) -> int:
        return len(self.names)


def load_vocabulary(source: Source | None = None) -> Vocabulary:
    """Return the text concepts of a source; entries that say the same are kept once.

    Args:
        source: None for the shipped vocabulary; a list of words; or a file: `.json` holds one list
            of strings, any other is text with a concept on each line, optionally a tab and its
            family, where lines that begin with "#" are comments.

    Raises:
        UserError: there is no such file, it cannot be read, or it has fewer than two concepts.
    """
    if source is None:
        source = SHIPPED
    if isinstance(source, str | os.PathLike):
        where, found = f"the vocabulary {source}", _file_entries(Path(source))
    else:
        where, found = "the list of concepts", _list_entries(source, "the list of concepts")
    return _vocabulary(found, where)


def normalized(text: str) -> str:
    """Return a concept as it is compared: lower case, single spaces, none of "-", "_"."""
    return " ".join(re.sub(r"[-_]", " ", text.casefold()).split())


def check_context(
    vocabulary: Vocabulary,
    tokenizer: Tokenizer,
    templates: Sequence[str] = TEMPLATES,
    lengths: Tensor | None = None,
) -> list[str]:
    """Return the concepts with a prompt that the text tower would cut; warn where they are many.

    `lengths` (I * t,) are numbers of ids of the prompts, where these are tokenized already.
    """
    room = tokenizer.context_length - 2  # start and end of text
    texts = concept_prompts(vocabulary, templates)
    if lengths is None:
        lengths = tokenizer([text for group in texts for text in group]).lengths
    # Only a prompt that fills the tower can have been cut.
    filled = (lengths == tokenizer.context_length).reshape(len(texts), -1).tolist()
    cut = [
        name
        for name, group, full in zip(vocabulary.names, texts, filled, strict=True)
        if any(f and _pieces(tokenizer, text) > room for f, text in zip(full, group, strict=True))
    ]
    if len(cut) > MAX_CUT * len(vocabulary):
        logger.warning(
            "%d of %d concepts are longer than the %d tokens that the text tower reads and lose "
            "their end (the first is %r); shorten them.",
            len(cut),
            len(vocabulary),
            tokenizer.context_length,
            cut[0][:60],
        )
    return cut


def concept_prompts(
    vocabulary: Vocabulary, templates: Sequence[str] = TEMPLATES
) -> list[list[str]]:
    """Return I lists with a prompt for each template.

    Raises:
        UserError: there is no template, or one has no place for the concept.
    """
    if not templates:
        raise UserError("concepts need at least one template, such as 'The photo is {}.'.")
    return [prompts(name, templates) for name in vocabulary.names]


def concept_text(
    model: Encoder,
    vocabulary: Vocabulary,
    templates: Sequence[str] = TEMPLATES,
    progress: Progress | None = None,
    *,
    cache: Path | None = None,
    fingerprint: str | None = None,
) -> Tensor:
    """Return (I, d) float32 unit text features of the concepts, on the CPU.

    The unit features of a concept's prompts are averaged, and the mean is made unit.

    Args:
        model: A Clip or a method.
        vocabulary, templates: I concepts, and prompts with "{}" for the concept.
        progress: Told of every distinct prompt that is embedded.
        cache: Where features are kept, or None to keep nothing. Two thousand texts take longer
            than all the rest of a second fit to the same pictures.
        fingerprint: Of the model; without one nothing is kept.

    Raises:
        UserError: as `concept_prompts`.
    """
    texts = [text for group in concept_prompts(vocabulary, templates) for text in group]
    words = tokenize(model, texts)
    tokenizer, every = getattr(model, "tokenizer", None), words.every
    if tokenizer is not None:
        check_context(vocabulary, tokenizer, templates, every.lengths)

    def made() -> Tensor:
        features = encode_texts(model, words, progress=progress)
        return ensemble(features.reshape(len(vocabulary), len(templates), -1))

    if cache is None or fingerprint is None:
        return made()
    store = FeatureStore(cache, {"format": "trifocal-concepts-1", "weights": fingerprint})
    ids = every.ids.contiguous().numpy()  # as the tower reads them
    key = hashlib.sha256(repr(ids.shape).encode() + ids.tobytes()).digest()[:KEY_BYTES]
    row = store.find([key]).get(key) or store.keep([key], made()[None])[key]
    return row[0][row[1]]


def _pieces(tokenizer: Tokenizer, text: str) -> int:
    """Return how many ids a text has, uncut, without start and end."""
    return len(tokenizer.backend.encode(text, add_special_tokens=False))


def _vocabulary(found: Iterable[tuple[str, str | None]], where: str) -> Vocabulary:
    kept: dict[str, tuple[str, str | None]] = {}
    repeated = 0
    for name, family in found:
        key = normalized(name)
        repeated += key in kept
        if key:
            kept.setdefault(key, (" ".join(name.split()), family))
    if len(kept) < 2:
        held = "only one concept" if kept else "no concept"
        raise UserError(
            f"{where} holds {held}; give two at least, better some hundreds, or none at all to "
            "use the shipped ones."
        )
    if repeated:
        logger.info("%s repeats %d of its concepts; each is used once.", where, repeated)
    if len(kept) < FEW:
        logger.warning(
            "%s has %d concepts only, which hardly tell classes apart; give %d or more, or none "
            "to use the shipped ones.",
            where,
            len(kept),
            FEW,
        )
    names, families = zip(*kept.values(), strict=True)
    return Vocabulary(names, families)


def _file_entries(file: Path) -> Iterator[tuple[str, str | None]]:
    where = f"the vocabulary {file}"
    if not file.is_file():
        raise UserError(f"there is no vocabulary at {file}; give a file with a concept on a line.")
    try:
        if file.stat().st_size > _MAX_BYTES:
            raise UserError(f"{where} is larger than {_MAX_BYTES >> 20} MiB; is it a word list?")
        content = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{where} is not UTF-8 text; save it as such.") from None
    except OSError as error:
        raise UserError(f"{where} cannot be read ({error.strerror}).") from None
    if file.suffix.lower() == ".json":
        yield from _json_entries(content, where)
        return
    for line in content.splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            name, _, family = line.partition("\t")
            yield name, family.strip() or None


def _json_entries(content: str, where: str) -> Iterator[tuple[str, None]]:
    try:
        entries = json.loads(content)
    except (ValueError, RecursionError):
        entries = None
    if not isinstance(entries, list):
        raise UserError(f'{where} is not a JSON list of strings, ["red", "striped"]; mend it.')
    yield from _list_entries(entries, where)


def _list_entries(entries: Iterable[Any], where: str) -> Iterator[tuple[str, None]]:
    for entry in entries:
        if not isinstance(entry, str):
            raise UserError(f"{where} holds {entry!r:.60}, which is not a string; mend it.")
        yield entry, None
