"""The hard negatives of a caption: swap, replace, shuffle (FSC-CLIP, arXiv 2410.05210).

A caption is parsed once and its candidates are kept; every call draws anew from them, which costs
microseconds.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from trifocal.composition.negatives import inflection
from trifocal.composition.negatives.normalize import normalize_caption
from trifocal.composition.negatives.parse import Parse, Parser, parse_all
from trifocal.composition.negatives.parsers import make_parser
from trifocal.composition.negatives.replace import (
    ReplaceCandidates,
    Replacer,
    draw_replace,
)
from trifocal.composition.negatives.shuffle import (
    ShuffleCandidates,
    draw_shuffle,
    shuffle_candidates,
)
from trifocal.composition.negatives.store import ParseStore, caption_key
from trifocal.composition.negatives.swap import SwapCandidates, draw_swap, swap_candidates
from trifocal.composition.negatives.wordnet import Lexicon, WordNet
from trifocal.composition.negatives.wordnet_files import find_wordnet, why_missing
from trifocal.composition.negatives.wordnet_published import PublishedWordNet
from trifocal.errors import UserError, nearest

KINDS = ("swap", "replace", "shuffle")
LEXICONS: dict[str, type[WordNet]] = {"auto": WordNet, "published": PublishedWordNet}


@dataclass(frozen=True, slots=True)
class Candidates:
    """What the draws of one caption need; None where a kind has nothing to offer."""

    swap: SwapCandidates | None = None
    replace: ReplaceCandidates | None = None
    shuffle: ShuffleCandidates | None = None


_DRAW: dict[str, Callable[[Any, Callable[[], float]], str | None]] = {
    "swap": draw_swap,
    "replace": draw_replace,
    "shuffle": draw_shuffle,
}


class HardNegatives:
    """Makes one hard negative caption of each kind.

    Calls with a generator depend on nothing but the caption and the generator; data loaders pass
    one made from (seed, epoch, index), so that workers and their number do not matter. Without,
    the draw depends on the seed, the caption, and how often it was asked for before; in a
    `torch` data worker also on the worker's seed, which changes every epoch.

    The object may be copied into forked or spawned workers: the parser, WordNet and the store are
    opened at first use in every process.

    Args:
        kinds: which negatives, in the order of their kind index.
        parser: "auto" (spaCy where an English pipeline is installed, else TextBlob), "spacy",
            "spacy:<pipeline>", "textblob", or an object with `name` and `parse(caption)`.
        seed: for calls without a generator.
        store: a `ParseStore`, or the path of one, that keeps parses between runs.
        lexicon: replacements for words; "auto" is WordNet with each sense's own count, "published"
            WordNet as FSC-CLIP's released code weighs it (`PublishedWordNet`: draws then depend on
            earlier captions, too). With None `replace` gives None.
        normalize: write negatives in lower case without closing punctuation; the caller treats
            the captions alike with `prepare_caption`.
        remember: captions whose candidates stay in memory (about 2 kB each).

    Raises:
        UserError: an unknown kind or parser; `replace` is asked for without WordNet.

    Example:
        >>> import numpy as np, trifocal
        >>> make = trifocal.HardNegatives(("swap",), parser="textblob")
        >>> make("a red ball and a blue box", np.random.default_rng(0)).keys()
        dict_keys(['swap'])
    """

    def __init__(
        self,
        kinds: Sequence[str] = KINDS,
        parser: str | Parser = "auto",
        seed: int = 0,
        *,
        store: ParseStore | str | os.PathLike[str] | None = None,
        lexicon: Lexicon | str | None = "auto",
        normalize: bool = False,
        remember: int = 200_000,
    ) -> None:
        self.kinds = tuple(kinds)
        for kind in self.kinds:
            if kind not in KINDS:
                raise UserError(
                    f"unknown kind of hard negative {kind!r}; choose from {', '.join(KINDS)}."
                    f"{nearest(kind, KINDS)}"
                )
        if len(set(self.kinds)) < len(self.kinds):
            raise UserError(f"a kind of hard negative is named twice: {', '.join(self.kinds)}.")
        self.parser = make_parser(parser)
        self.parser_name = getattr(self.parser, "name", type(self.parser).__name__)
        self.seed = seed
        self.normalize = normalize
        self.store = store if store is None or isinstance(store, ParseStore) else ParseStore(store)
        self._replacer = self._make_replacer(lexicon) if "replace" in self.kinds else None
        self._remember = remember
        self._known: dict[str, Candidates] = {}
        self._calls: dict[str, int] = {}

    @property
    def lexicon_name(self) -> str:
        """Where `replace` takes its words from, with versions; "" where it makes none."""
        if self._replacer is None:
            return ""
        return f"{self._replacer.lexicon.name} {inflection.library()}"

    def _make_replacer(self, lexicon: Lexicon | str | None) -> Replacer | None:
        if lexicon is None:
            return None
        if isinstance(lexicon, str):
            if lexicon not in LEXICONS:
                raise UserError(
                    f"unknown lexicon {lexicon!r}; choose from {', '.join(LEXICONS)}."
                    f"{nearest(lexicon, LEXICONS)}"
                )
            if find_wordnet() is None:
                raise UserError(why_missing(self.kinds))
            lexicon = LEXICONS[lexicon]()
        return Replacer(lexicon, inflection.inflect, inflection.library(), self.store)

    def __getstate__(self) -> dict[str, Any]:
        """What a spawned worker needs: settings, not the captions met so far."""
        return {**self.__dict__, "_known": {}, "_calls": {}}

    def __call__(
        self, caption: str, rng: np.random.Generator | None = None
    ) -> dict[str, str | None]:
        """Draw one negative of each kind.

        Args:
            caption: the true caption.
            rng: draws come from here; see the class for the default.

        Returns:
            In the order of `kinds`, kind to caption; None where the caption offers none. No
            negative equals the caption.
        """
        caption = self.prepare_caption(caption)
        candidates = self.candidates(caption)
        uniform = (self._generator(caption) if rng is None else rng).random
        drawn: dict[str, str | None] = {}
        for kind in self.kinds:
            negative = _DRAW[kind](getattr(candidates, kind), uniform)
            if negative is not None and self.normalize:
                negative = normalize_caption(negative)
            drawn[kind] = None if negative == caption else negative
        return drawn

    def prepare_caption(self, caption: str) -> str:
        """The caption as it should be set against its negatives (see `normalize`)."""
        return normalize_caption(caption) if self.normalize else caption

    def candidates(self, caption: str) -> Candidates:
        """The candidates of a caption, made at the first call and remembered."""
        known = self._known.get(caption)
        if known is None:
            known = self._make(self._parse(caption))
            self._learn(caption, known)
        return known

    def warm_up(self, captions: Iterable[str]) -> None:
        """Parse captions ahead, as one batch where the parser can, and keep their candidates."""
        prepared = dict.fromkeys(map(self.prepare_caption, captions))
        stored = {
            caption: self._load(caption) for caption in prepared if caption not in self._known
        }
        missing = [caption for caption, parse in stored.items() if parse is None]
        for caption, parse in zip(missing, parse_all(self.parser, missing)):
            stored[caption] = parse
            self._save(caption, parse)
        for caption, parse in stored.items():
            if parse is not None:
                self._learn(caption, self._make(parse))
        if self.store is not None:
            self.store.flush()

    def _learn(self, caption: str, candidates: Candidates) -> None:
        if len(self._known) >= self._remember > 0:
            del self._known[next(iter(self._known))]  # the one learnt first
        if self._remember > 0:
            self._known[caption] = candidates

    def _make(self, parse: Parse) -> Candidates:
        return Candidates(
            swap=swap_candidates(parse) if "swap" in self.kinds else None,
            replace=self._replacer.candidates(parse) if self._replacer else None,
            shuffle=shuffle_candidates(parse) if "shuffle" in self.kinds else None,
        )

    def _parse(self, caption: str) -> Parse:
        parse = self._load(caption)
        if parse is None:
            parse = self.parser.parse(caption)
            self._save(caption, parse)
        return parse

    def _load(self, caption: str) -> Parse | None:
        if self.store is None:
            return None
        content = self.store.get_parse(caption_key(self.parser_name, caption))
        if content is None:
            return None
        try:
            return Parse.from_json(content)
        except ValueError:
            return None  # damaged: parse again

    def _save(self, caption: str, parse: Parse) -> None:
        if self.store is not None:
            self.store.put_parse(caption_key(self.parser_name, caption), parse.to_json())

    def _generator(self, caption: str) -> np.random.Generator:
        """A generator from the seed, the caption and the number of earlier calls with it."""
        count = self._calls.get(caption, 0)
        self._calls[caption] = count + 1
        text = f"{self.seed}\0{_worker_seed()}\0{count}\0{caption}"
        key = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "little")
        return np.random.Generator(np.random.Philox(key=key))


def _worker_seed() -> int | None:
    """The seed of the `torch` data worker this runs in, None elsewhere."""
    torch = sys.modules.get("torch")
    info = torch.utils.data.get_worker_info() if torch is not None else None
    return None if info is None else info.seed
