"""The shipped vocabulary names no class, is well written, and fills its families.

A concept that is the name of a class would name the answer instead of a property of it. Words that
are both, such as "striped" (a class of DTD) and "orange" (a fruit in ImageNet), may stay where
their family says that they are an attribute, too.
"""

from __future__ import annotations

import json
import zipfile
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
from textblob.en.inflect import singularize

from trifocal.concepts.vocabulary import Vocabulary, load_vocabulary, normalized

FAMILIES = {
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
ATTRIBUTES = {"color", "material", "texture", "shape"}  # families of properties
SLACK = 0.1  # share by which a family may miss its size


@pytest.fixture(scope="module")
def shipped() -> Vocabulary:
    return load_vocabulary()


@cache
def singular(word: str) -> str:
    return singularize(word) if word.isalpha() and len(word) > 3 else word


def key(text: str) -> str:
    """Return what two spellings of a name share: its words in the singular, run together."""
    return "".join(singular(word) for word in normalized(text).replace("/", " ").split())


def test_two_spellings_have_one_key() -> None:
    assert key("soft leaves") == key("Soft_leaf")
    assert key("polka dotted") == key("Polka-dotted")
    assert key("wings") == key("wing") != key("Airplane_Wing")


def test_entries_are_short_lower_case_and_differ_in_more_than_spelling(shipped) -> None:
    assert [name for name in shipped.names if name != " ".join(name.lower().split())] == []
    assert [name for name in shipped.names if len(name.split()) > 4] == []
    assert [k for k, count in Counter(map(key, shipped.names)).items() if count > 1] == []


def test_families_have_about_their_size(shipped) -> None:
    counts = Counter(shipped.families)
    assert counts.keys() == FAMILIES.keys()
    assert sum(FAMILIES.values()) == 2000
    for family, wanted in FAMILIES.items():
        assert abs(counts[family] - wanted) <= SLACK * wanted, family


def test_no_class_is_named_but_as_an_attribute(shipped: Vocabulary, real_data: Path) -> None:
    names: set[str] = set()
    with zipfile.ZipFile(real_data / "annotations.zip") as archive:
        for member in archive.namelist():
            if member.startswith("coop/split_zhou_"):
                splits = json.loads(archive.read(member))
                names |= {row[2] for split in splits.values() for row in split}
        published = json.loads(archive.read("zeroshot/en_classnames.json"))
    for dataset in ("imagenet1k", "caltech101", "pets", "flowers", "eurosat"):
        names |= set(published[dataset])
    assert len(names) > 1200
    classes = set(map(key, names))
    both = {
        concept: family
        for concept, family in zip(shipped.names, shipped.families, strict=True)
        if key(concept) in classes
    }
    assert set(both.values()) <= ATTRIBUTES
    assert {"striped", "orange", "wool"} <= both.keys()
