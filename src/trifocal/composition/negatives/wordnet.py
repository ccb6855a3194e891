"""Words that could stand in a word's place: WordNet antonyms and co-hyponyms, with counts.

FSC-CLIP (Oh et al., EMNLP 2024, arXiv 2410.05210), type "replace". WordNet is read through NLTK.
Debian's package lacks the file `lexnames`, and NLTK reads only below `nltk.data.path`;
`_make_reader` sees to both without copying anything. NLTK keeps relations in sets, whose order
differs from process to process: what comes of them is sorted before anything is drawn from it.
"""

from __future__ import annotations

import io
import os
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from functools import cache, lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from trifocal.composition.negatives.wordnet_files import REMEDY, find_wordnet
from trifocal.errors import UserError

# The lexicographer files in the order of their numbers (lexnames(5WN)).
_NOUN_FILES = (
    "Tops act animal artifact attribute body cognition communication event feeling food group "
    "location motive object person phenomenon plant possession process quantity relation shape "
    "state substance time"
)
_VERB_FILES = (
    "body change cognition communication competition consumption contact creation emotion motion "
    "perception possession social stative weather"
)
LEXICOGRAPHER_FILES = (
    *("adj.all", "adj.pert", "adv.all"),
    *(f"noun.{name}" for name in _NOUN_FILES.split()),
    *(f"verb.{name}" for name in _VERB_FILES.split()),
    "adj.ppl",
)
_CATEGORIES = {"noun": 1, "verb": 2, "adj": 3, "adv": 4}


class Lexicon(Protocol):
    """Where replacements come from."""

    @property
    def name(self) -> str:
        """The lexicon and its version."""
        ...

    def candidates(self, word: str, pos: str) -> dict[str, int]:
        """Words that may replace `word`, with weights; `pos` is n, v, a or r.

        Parts of a candidate are joined with "_".
        """
        ...


def lexnames() -> str:
    """The content of WordNet's file `lexnames`: number, name and category of its 45 parts."""
    rows = enumerate(LEXICOGRAPHER_FILES)
    return "".join(f"{i:02d}\t{name}\t{_CATEGORIES[name.split('.')[0]]}\n" for i, name in rows)


def _make_reader(place: Any) -> Any:
    """NLTK's reader over a WordNet folder or path pointer."""
    import nltk.data
    from nltk.corpus.reader.wordnet import WordNetCorpusReader

    class Reader(WordNetCorpusReader):
        """Does without `lexnames` and without a second WordNet to map to."""

        def open(self, file: str) -> Any:
            return io.StringIO(lexnames()) if file == "lexnames" else super().open(file)

        def map_wn(self, version: str = "wordnet") -> None:
            return None

    if isinstance(place, Path):
        if str(place) not in nltk.data.path:
            nltk.data.path.append(str(place))
        place = str(place)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "multilingual functions are not available"
        return Reader(place, None)


@lru_cache(maxsize=1)
def _opened(place: Any, process: int) -> tuple[Any, dict[str, int]]:
    """Return a process's reader and the counts of senses: both take seconds, and serve all alike."""
    reader = _make_reader(place)
    return reader, _sense_counts(reader)


@cache
def _version(place: Any) -> str:
    """The version that the head of a data file names; "unknown" where it names none."""
    file = place / "data.adj" if isinstance(place, Path) else place.join("data.adj")
    with file.open() as lines:
        head = "".join(str(line) for line in islice(lines, 30))
    found = re.search(r"Word[nN]et (\d+\.\d+\+?|\d+\+?) Copyright", head)
    return found.group(1) if found else "unknown"


class WordNet:
    """Antonyms and sibling or cousin co-hyponyms of a word, weighted by their sense counts.

    The reader is opened at the first word, once in every process (it holds open files).

    Raises:
        UserError: WordNet is not found.
    """

    def __init__(self) -> None:
        if find_wordnet() is None:
            raise UserError(f"WordNet is not found: {REMEDY}.")
        self._forget()

    def _forget(self) -> None:
        self._reader: Any = None
        self._counts: dict[str, int] = {}
        self._families: dict[Any, Counter[str]] = {}
        self._process = os.getpid()

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._forget()

    @property
    def reader(self) -> Any:
        """NLTK's `WordNetCorpusReader` of this process."""
        if self._reader is None or self._process != os.getpid():
            self._forget()
            self._reader, self._counts = _opened(find_wordnet(), self._process)
        return self._reader

    @property
    def name(self) -> str:
        """WordNet and its version, found without opening the reader."""
        return f"wordnet-{_version(find_wordnet())}"

    def candidates(self, word: str, pos: str) -> dict[str, int]:
        """Candidates of a word over all its senses.

        A candidate's weight is the sum, over the ways by which it is reached, of the number of
        times its sense occurs in WordNet's tagged texts, at least 1. Names that are synonyms of
        the word in any sense are dropped.

        Args:
            word: as it stands in a caption; inflected forms are found through WordNet's rules.
            pos: n, v, a or r.

        Returns:
            Weights by name, in the order of the names.
        """
        senses = self.reader.synsets(word, pos)
        weights: Counter[str] = Counter()
        for sense in senses:
            for lemma in sense.lemmas():
                weights.update(self._weights(lemma.antonyms()))
            weights.update(self._relatives(sense))
        for sense in senses:
            for lemma in sense.lemmas():
                weights.pop(lemma.name(), None)
        return dict(sorted(weights.items()))

    def _weights(self, lemmas: Iterable[Any]) -> Counter[str]:
        weights: Counter[str] = Counter()
        for lemma in lemmas:
            weights[lemma.name()] += max(1, self._counts.get(lemma.key(), 0))
        return weights

    def _relatives(self, sense: Any) -> Counter[str]:
        """The co-hyponyms of one sense, each as often as there are ways to it."""
        if sense.pos() not in {"a", "s"}:
            return self._cousins(sense, self._weights_of_names)
        # Adjectives have no hypernyms: go over the nouns they are related to, and back. "red" is
        # related to the noun "red", a cousin of the noun "blue", which leads to "blue".
        nouns = {
            related.synset()
            for lemma in sense.lemmas()
            for related in lemma.derivationally_related_forms()
            if related.synset().pos() == "n"
        }
        weights: Counter[str] = Counter()
        for noun in sorted(nouns, key=lambda synset: synset.name()):
            weights.update(self._cousins(noun, self._weights_of_adjectives))
        return weights

    def _cousins(self, sense: Any, weigh: Callable[[Any], Counter[str]]) -> Counter[str]:
        """Up two hypernym levels and down two, without the sense itself."""
        weights: Counter[str] = Counter()
        for parent in sense.hypernyms():
            for grandparent in parent.hypernyms():
                family = self._family(grandparent, weigh)
                weights.update(family)
                own = sum(sense in branch.hyponyms() for branch in grandparent.hyponyms())
                for name, weight in weigh(sense).items():
                    weights[name] -= own * weight
        return +weights

    def _family(self, grandparent: Any, weigh: Callable[[Any], Counter[str]]) -> Counter[str]:
        """What all grandchildren of a synset weigh together; many words share it."""
        key = (grandparent, weigh.__name__)
        if key not in self._families:
            total: Counter[str] = Counter()
            for branch in grandparent.hyponyms():
                for grandchild in branch.hyponyms():
                    total.update(weigh(grandchild))
            self._families[key] = total
        return self._families[key]

    def _weights_of_names(self, sense: Any) -> Counter[str]:
        return self._weights(sense.lemmas())

    def _weights_of_adjectives(self, noun: Any) -> Counter[str]:
        """The adjectives that a noun's lemmas are related to."""
        return self._weights(
            related
            for lemma in noun.lemmas()
            for related in lemma.derivationally_related_forms()
            if related.synset().pos() in {"a", "s"}
        )


def _sense_counts(reader: Any) -> dict[str, int]:
    """Occurrences of every sense key in WordNet's tagged texts, from `cntlist.rev`."""
    counts: dict[str, int] = {}
    with reader.open("cntlist.rev") as lines:
        for line in lines:
            key, _, count = line.split()
            counts[key] = int(count)
    return counts
