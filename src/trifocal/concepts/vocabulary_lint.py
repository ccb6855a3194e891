"""Checks of a vocabulary: names of classes in it, its form, and how its families are filled.

A text concept that is the name of a class would name the answer instead of a property of it. Words
that are both, such as "striped" (a class of DTD) and "orange" (a fruit in ImageNet), may stay where
their family marks them as an attribute. These checks are for who writes a vocabulary; nothing is
refused because of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

from trifocal.concepts.vocabulary import Vocabulary, normalized

# How many of 2,000 concepts are of each family.
QUOTAS: dict[str, int] = {
    "color": 220,
    "material": 200,
    "texture": 260,
    "shape": 180,
    "size": 100,
    "part": 520,
    "state": 180,
    "scene": 180,
    "camera": 100,
    "substance": 60,
}
ATTRIBUTES = frozenset({"color", "material", "texture", "shape"})  # families of properties
SLACK = 0.1  # share by which a family may miss its quota
MAX_WORDS = 4


@dataclass(frozen=True)
class Overlap:
    """A concept that is the name of a class.

    Attributes:
        concept: As the vocabulary has it.
        family: Of the concept.
        classname: As the data set has it.
        allowed: Whether the concept's family says that it is an attribute, too.
    """

    concept: str
    family: str | None
    classname: str
    allowed: bool


def lint_vocabulary(vocabulary: Vocabulary, classnames: Iterable[str]) -> list[Overlap]:
    """Return the concepts that are names of classes, in the vocabulary's order.

    Names are compared without regard to case, hyphens, underscores, spaces and plural.

    Args:
        vocabulary: The concepts.
        classnames: Names of classes, of any number of data sets.
    """
    known: dict[str, str] = {}
    for name in classnames:
        known.setdefault(_key(name), name)
    return [
        Overlap(concept, family, known[_key(concept)], family in ATTRIBUTES)
        for concept, family in zip(vocabulary.names, vocabulary.families, strict=True)
        if _key(concept) in known
    ]


def lint_form(vocabulary: Vocabulary, quotas: Mapping[str, int] = QUOTAS) -> list[str]:
    """Return a sentence for whatever is amiss with the form of a vocabulary.

    Amiss are capitals, odd spaces, more than four words, two entries that differ in plural or
    spelling alone, and families that are unknown or far from their quota.

    Args:
        vocabulary: The concepts.
        quotas: How many concepts are wanted of each family.
    """
    found, first = [], dict[str, str]()
    for name in vocabulary.names:
        if name != " ".join(name.lower().split()):
            found.append(f"{name!r} is not in lower case with single spaces")
        if len(name.split()) > MAX_WORDS:
            found.append(f"{name!r} has more than {MAX_WORDS} words")
        other = first.setdefault(_key(name), name)
        if other != name:
            found.append(f"{name!r} says the same as {other!r}")
    counts = Counter(vocabulary.families)
    for family, wanted in quotas.items():
        if abs(counts[family] - wanted) > SLACK * wanted:
            found.append(f"family {family!r} has {counts[family]} concepts, not about {wanted}")
    unknown = sorted({str(family) for family in counts if family not in quotas})
    found += [f"there is no family {family!r}" for family in unknown]
    return found


def _key(text: str) -> str:
    """Return what two spellings of a name share: its words in the singular, run together."""
    return "".join(_singular(word) for word in normalized(text).replace("/", " ").split())


@cache
def _singular(word: str) -> str:
    from textblob.en.inflect import singularize  # slow to import, and wanted here alone

    return singularize(word) if word.isalpha() and len(word) > 3 else word
