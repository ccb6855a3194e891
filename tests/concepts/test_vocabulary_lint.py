"""The lint of vocabularies, and the shipped one under it."""

from __future__ import annotations

import json
import zipfile

from trifocal.concepts.vocabulary import Vocabulary, load_vocabulary
from trifocal.concepts.vocabulary_lint import QUOTAS, Overlap, lint_form, lint_vocabulary


def of(**families: str) -> Vocabulary:
    pairs = [(name, family) for family, names in families.items() for name in names.split(",")]
    names, marks = zip(*pairs, strict=True)
    return Vocabulary(names, marks)


def test_class_names_are_found_whatever_their_spelling():
    words = of(texture="polka dotted,fuzzy", part="wing,soft leaves,tusk", color="orange")
    names = ["Polka-dotted", "Airplane_Wing", "wings", "soft_leaf", "Orange"]
    assert lint_vocabulary(words, names) == [
        Overlap("polka dotted", "texture", "Polka-dotted", True),
        Overlap("wing", "part", "wings", False),
        Overlap("soft leaves", "part", "soft_leaf", False),
        Overlap("orange", "color", "Orange", True),
    ]
    assert lint_vocabulary(words, []) == []


def test_a_concept_without_family_is_not_allowed_to_be_a_class():
    assert not lint_vocabulary(Vocabulary(("striped",), (None,)), ["striped"])[0].allowed


def test_form():
    words = of(color="Red,one two three four five,green  ones", part="wheel,wheels", odd="x")
    assert lint_form(words, {"color": 3, "part": 2, "size": 1}) == [
        "'Red' is not in lower case with single spaces",
        "'one two three four five' has more than 4 words",
        "'green  ones' is not in lower case with single spaces",
        "'wheels' says the same as 'wheel'",
        "family 'size' has 0 concepts, not about 1",
        "there is no family 'odd'",
    ]


def test_quotas_sum_to_two_thousand():
    assert sum(QUOTAS.values()) == 2000


def test_shipped_vocabulary_is_well_formed():
    assert lint_form(load_vocabulary()) == []


def test_shipped_vocabulary_names_no_class(real_data):
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
    found = lint_vocabulary(load_vocabulary(), sorted(names))
    assert [overlap for overlap in found if not overlap.allowed] == []
    assert {"striped", "orange", "wool"} <= {overlap.concept for overlap in found}
