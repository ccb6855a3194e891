"""WordNet as FSC-CLIP's released code weighs it, with the counts of senses mixed up.

That code remembers the count of every lemma, and NLTK holds two lemmas for equal when they are spelled
alike, whatever they mean. So the first sense of a name that a process meets lends its count to all
senses of that name: once the noun "white" or the verb "gray" was met, the colors hardly count. Which
sense comes first depends on the words looked up before, hence on the captions a data worker had.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from trifocal.composition.negatives.wordnet import WordNet


class PublishedWordNet(WordNet):
    """The same candidates, weighed as by the authors' memory of counts.

    A word's weights are settled when it is first looked up, by what this object was asked before.
    Draws therefore differ between numbers of data workers, and after a run is taken up again; a
    store of parses keeps the words that it has seen as they were. Where the released code follows
    the order of NLTK's sets, which every process has another of, names come in their own order.
    """

    def _forget(self) -> None:
        super()._forget()
        self._remembered: dict[str, int] = {}

    @property
    def name(self) -> str:
        """WordNet, its version, and that the counts are the published ones."""
        return f"{super().name}-published"

    def candidates(self, word: str, pos: str) -> dict[str, int]:
        """Candidates of a word over all its senses; see `WordNet.candidates`."""
        senses = self.reader.synsets(word, pos)
        own = {lemma.name() for sense in senses for lemma in sense.lemmas()}
        weights: Counter[str] = Counter()
        for lemma in (lemma for sense in senses for lemma in _reached(sense)):
            name = lemma.name()
            if name not in own:
                count = self._remembered.setdefault(name, self._counts.get(lemma.key(), 0))
                weights[name] += max(1, count)
        return dict(sorted(weights.items()))


def _reached(sense: Any) -> Iterator[Any]:
    """Yield the lemmas that one sense is replaced by, in the order of the released code."""
    for lemma in sense.lemmas():
        yield from lemma.antonyms()
    if sense.pos() not in {"a", "s"}:
        yield from _cousins(sense)
        return
    related = [form for lemma in sense.lemmas() for form in lemma.derivationally_related_forms()]
    for noun in sorted({form.synset() for form in related if form.synset().pos() == "n"}):
        for lemma in _cousins(noun):
            for form in lemma.derivationally_related_forms():
                if form.synset() != sense and form.synset().pos() in {"a", "s"}:
                    yield form


def _cousins(sense: Any) -> Iterator[Any]:
    for parent in sorted(sense.hypernyms()):
        for grandparent in sorted(parent.hypernyms()):
            for branch in sorted(grandparent.hyponyms()):
                for cousin in sorted(branch.hyponyms()):
                    if cousin != sense:
                        yield from cousin.lemmas()
