"""What swapped captions of the world say: some of them are as true as the caption itself."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from trifocal.composition.negatives.generator import HardNegatives
from trifocal.report.numbers import percentage
from trifocal.world.vocabulary import RELATION_PHRASES

_PHRASES = [phrase for phrases in RELATION_PHRASES.values() for phrase in phrases]
_RELATION = re.compile(rf"\b(?:is )?({'|'.join(_PHRASES)})\b")
# A place stays with its preposition: a ball in a field is no field in a ball.
_BETWEEN = re.compile(r", along with |, | and | (?=(?:in|on) )")
_ARTICLES = {"a", "an"}


@dataclass(frozen=True)
class Swaps:
    """How many captions were swapped, and what came of it.

    Attributes:
        made: Captions of which a swap could be made.
        true: Of these, whose swap says the same.
        related: Of these, that say how things stand to each other.
    """

    made: int
    true: int
    related: int

    def told(self) -> str:
        """Return it in sentences."""
        return (
            "What hard negatives can teach depends on the captions: of those that can be swapped, "
            f"{percentage(self.true / self.made)} say the same afterwards (a heart and a star, a "
            "star and a heart), so that a true caption is to be rejected, and "
            f"{percentage(self.related / self.made)} say how things stand to each other, which is "
            "what most questions on order ask."
        )


class Captioned(Protocol):
    """A source of captions."""

    def caption(self, index: int, rng: np.random.Generator) -> str:
        """Return the caption of an index, as the generator words it."""
        ...


def count_swaps(source: Captioned, parser: str, count: int = 600) -> Swaps:
    """Return what swaps of the first captions of a source say."""
    make, rng = HardNegatives(("swap",), parser), np.random.default_rng(0)
    made = true = related = 0
    for index in range(count):
        caption = source.caption(index, rng)
        swapped = make(caption, rng)["swap"]
        if swapped is not None:
            made += 1
            true += says_the_same(caption, swapped)
            related += is_related(caption)
    return Swaps(made, true, related)


def is_related(caption: str) -> bool:
    """Return whether a caption says how things stand to each other."""
    return _RELATION.search(caption.lower()) is not None


def says_the_same(caption: str, other: str) -> bool:
    """Return whether two captions name the same things and places, in an order that says nothing.

    Words before a noun may change places, things may where no relation is said.
    """
    return _content(caption) == _content(other)


def _content(caption: str) -> list[list[str]]:
    text = _RELATION.sub(r" and \1 and ", caption.lower().rstrip("."))
    parts = [part.split() for part in _BETWEEN.split(text)]
    things = [sorted(word for word in part if word not in _ARTICLES) for part in parts]
    return things if is_related(caption) else sorted(things)
