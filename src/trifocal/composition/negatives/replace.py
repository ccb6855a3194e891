"""Hard negatives by replacing one word or preposition with a related one.

FSC-CLIP (Oh et al., EMNLP 2024, arXiv 2410.05210), type "replace", in the manner of SugarCrepe's
REPLACE (Hsieh et al., NeurIPS 2023, arXiv 2306.14610): nouns, adjectives, verbs and adverbs by
WordNet's antonyms and cousins, prepositions by prepositions, drawn by frequency.
"""

from __future__ import annotations

import contextlib
import json
from array import array
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from operator import sub
from typing import Protocol

from trifocal.composition.negatives.inflection import Inflect
from trifocal.composition.negatives.parse import Parse
from trifocal.composition.negatives.prepositions import PREPOSITIONS
from trifocal.composition.negatives.scene_graph import Element, scene_graph
from trifocal.composition.negatives.swap import Uniform
from trifocal.composition.negatives.wordnet import Lexicon

_PER_ELEMENT = 2  # candidates that one element brings into the pool
_PARTS_OF_SPEECH = {"NOUN": "n", "PRON": "n", "PROPN": "n", "VERB": "v", "ADJ": "a", "ADV": "r"}


class Vocabulary:
    """Numbers for word forms: a frequent word has a thousand candidates, most of them shared."""

    def __init__(self) -> None:
        self.forms: list[str] = []
        self._numbers: dict[str, int] = {}

    def number(self, form: str) -> int:
        """The number of a form; new ones are added."""
        if form not in self._numbers:
            self._numbers[form] = len(self.forms)
            self.forms.append(form)
        return self._numbers[form]


@dataclass(frozen=True, slots=True)
class Choices:
    """What may stand in place of a word: forms, and the running sums of their weights."""

    vocabulary: list[str]  # all forms
    numbers: array[int]  # the candidates, as numbers in `vocabulary`
    sums: array[int]  # running sums of their weights

    @classmethod
    def of(cls, weights: Mapping[str, int], vocabulary: Vocabulary) -> Choices:
        """Choices by weight, in the order of the forms: a draw then is the same in all processes."""
        forms = sorted(weights)
        sums = accumulate(weights[form] for form in forms)
        return cls(vocabulary.forms, array("I", map(vocabulary.number, forms)), array("Q", sums))

    @property
    def slots(self) -> int:
        """Candidates that an element with these choices brings into the pool."""
        return min(_PER_ELEMENT, len(self.numbers))

    def weights(self) -> dict[str, int]:
        """Each form's weight."""
        steps = map(sub, self.sums, [0, *self.sums])
        return {self.vocabulary[n]: weight for n, weight in zip(self.numbers, steps)}

    def draw(self, slot: int, uniform: Uniform) -> str:
        """The form in a slot when `slots` forms are drawn by weight without replacement."""
        total = self.sums[-1]
        index = self._at(uniform() * total)
        if slot:
            below = self.sums[index - 1] if index else 0
            own = self.sums[index] - below
            place = uniform() * (total - own)
            index = self._at(place if place < below else place + own)
        return self.vocabulary[self.numbers[index]]

    def _at(self, place: float) -> int:
        return min(bisect_right(self.sums, place), len(self.sums) - 1)


@dataclass(frozen=True, slots=True)
class ReplaceCandidates:
    """The elements of a caption that may be replaced."""

    text: str  # the caption
    # first character, one past the last, and choices.
    elements: tuple[tuple[int, int, Choices], ...]
    slots: int  # candidates in the pool: two for every element that has as many


class ChoiceStore(Protocol):
    """Keeps the choices of words between runs."""

    def get_word(self, key: str) -> str | None: ...

    def put_word(self, key: str, content: str) -> None: ...


class Replacer:
    """Finds the choices for words and prepositions and remembers them.

    Args:
        lexicon: where the words come from.
        inflect: brings a candidate into the form that a Penn tag asks for.
        inflector: name and version of `inflect`, part of the key in the store.
        store: optional; keeps choices between runs and processes.
    """

    def __init__(
        self,
        lexicon: Lexicon,
        inflect: Inflect,
        inflector: str = "",
        store: ChoiceStore | None = None,
    ) -> None:
        self.lexicon = lexicon
        self._inflect = inflect
        self._inflector = inflector
        self._store = store
        self._vocabulary = Vocabulary()
        self._words: dict[tuple[str, str, str], Choices] = {}
        self._prepositions: dict[str, Choices] = {}

    def candidates(self, parse: Parse) -> ReplaceCandidates | None:
        """The elements of a caption that may be replaced.

        Returns:
            None where the caption has fewer than two entities, or neither a relation nor a
            modifier, or no element with a choice.
        """
        graph = scene_graph(parse)
        if not graph.composed:
            return None
        found = [self._element(parse, element) for element in graph.elements()]
        elements = tuple(part for part in found if part is not None)
        slots = sum(choices.slots for _, _, choices in elements)
        return ReplaceCandidates(parse.text, elements, slots) if slots else None

    def _element(self, parse: Parse, element: Element) -> tuple[int, int, Choices] | None:
        token = parse.tokens[element.root]
        if token.pos == "ADP":
            choices = self.preposition_choices(parse.span_text(element.span).lower())
            return (*parse.characters(element.span), choices)
        pos = _PARTS_OF_SPEECH.get(token.pos)
        if pos is None:
            return None
        choices = self.word_choices(token.text.lower(), pos, token.tag)
        return (token.start, token.end, choices) if choices.slots else None

    def preposition_choices(self, phrase: str) -> Choices:
        """All prepositions of the list but `phrase`."""
        if phrase not in self._prepositions:
            others = {name: weight for name, weight in PREPOSITIONS.items() if name != phrase}
            self._prepositions[phrase] = Choices.of(others, self._vocabulary)
        return self._prepositions[phrase]

    def word_choices(self, word: str, pos: str, tag: str) -> Choices:
        """The lexicon's candidates for a word, inflected; none that reads like the word."""
        key = (word, pos, tag)
        if key not in self._words:
            self._words[key] = self._stored(key)
        return self._words[key]

    def _stored(self, key: tuple[str, str, str]) -> Choices:
        if self._store is None:
            return Choices.of(self._look_up(*key), self._vocabulary)
        name = "\t".join((self.lexicon.name, self._inflector, *key))
        content = self._store.get_word(name)
        if content is not None:
            with contextlib.suppress(ValueError, TypeError, AttributeError, OverflowError):
                return Choices.of(json.loads(content), self._vocabulary)  # unless it is damaged
        weights = self._look_up(*key)
        self._store.put_word(name, json.dumps(weights, ensure_ascii=False))
        return Choices.of(weights, self._vocabulary)

    def _look_up(self, word: str, pos: str, tag: str) -> dict[str, int]:
        weights: dict[str, int] = {}
        for name, weight in self.lexicon.candidates(word, pos).items():
            form = self._inflect(name, tag).replace("_", " ")
            if form.lower() != word:
                weights[form] = weights.get(form, 0) + weight
        return weights


def draw_replace(candidates: ReplaceCandidates | None, uniform: Uniform) -> str | None:
    """One replacement.

    Every element brings up to two candidates, drawn by weight without replacement, into one pool;
    one of the pool is drawn uniformly. (Only the element it comes from needs to be drawn.)

    Returns:
        The caption with one range replaced in the case of the original, or None.
    """
    if candidates is None:
        return None
    slot = int(uniform() * candidates.slots)
    for start, end, choices in candidates.elements:
        if slot < choices.slots:
            text = candidates.text
            form = _in_case(choices.draw(slot, uniform), text[start:end])
            return text[:start] + form + text[end:]
        slot -= choices.slots
    return None


def _in_case(form: str, model: str) -> str:
    """`form` in capitals or with capital initials where `model` is so written."""
    if model.isupper():
        return form.upper()
    return form.title() if model.istitle() else form
