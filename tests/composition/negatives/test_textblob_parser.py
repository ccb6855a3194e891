"""The download-free parser on captions: tokens, tags, noun chunks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trifocal.composition.negatives import HardNegatives
from trifocal.composition.negatives.textblob_parser import TextBlobParser

PARSER = TextBlobParser()

_OBJECTS = (
    "anchor apple arrow ball bear bell boat bottle bowl box bus butterfly cactus candle car cat "
    "chair clock cone couch crane crown cross cup dog drum fish flag flower fork giraffe hammer "
    "hat heart horse house hydrant key kite knife ladder lamp lock moon mouse mushroom oven pot "
    "ring rocket sandwich shoe sink skateboard spoon star stop surfboard table tree truck tub "
    "umbrella van vase wheel zebra"
)
_COLORS = (
    "red orange yellow green blue purple pink brown black white gray grey turquoise golden beige"
)


def tags(caption: str) -> list[str]:
    return [token.tag for token in PARSER.parse(caption).tokens]


def chunks(caption: str) -> list[str]:
    parse = PARSER.parse(caption)
    return [parse.span_text(span) for span in parse.noun_chunks]


@settings(deadline=None)
@given(st.text(max_size=80))
def test_tokens_cover_every_visible_character(caption: str) -> None:
    parse = PARSER.parse(caption)
    covered = [False] * len(caption)
    end = 0
    for token in parse.tokens:
        assert token.text == caption[token.start : token.end]
        assert token.start >= end
        assert token.text
        assert token.tag
        assert token.pos
        end = token.end
        covered[token.start : token.end] = [True] * (token.end - token.start)
    for character, seen in zip(caption, covered):
        assert seen or character.isspace()
    for span in parse.noun_chunks:
        assert 0 <= span.start < span.end <= len(parse.tokens)


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("A man's hat isn't on.", "A|man|'s|hat|is|n't|on|."),
        ("a black-and-white photo", "a|black-and-white|photo"),
        ("It costs $5.50, at 10:30 a.m. today", "It|costs|$|5.50|,|at|10:30|a.m.|today"),
        ("St. Louis (USA) 1920s", "St.|Louis|(|USA|)|1920s"),
        ("a ski slope...  \n and trees", "a|ski|slope|...|and|trees"),
        ("They’re here", "They|’re|here"),
        ("mother/daughter", "mother|/|daughter"),
        ("", ""),
    ],
)
def test_tokens(caption: str, expected: str) -> None:
    assert "|".join(token.text for token in PARSER.parse(caption).tokens) == expected


@pytest.mark.parametrize("noun", _OBJECTS.split())
def test_objects_are_nouns(noun: str) -> None:
    caption = f"A {noun} next to a small red {noun} and two large {noun}s near the {noun}."
    found = {token.tag for token in PARSER.parse(caption).tokens if token.text == noun}
    assert found == {"NN"}


@pytest.mark.parametrize("color", _COLORS.split())
def test_colors_are_adjectives(color: str) -> None:
    caption = f"A {color} ball, a large {color} box and a {color} striped cup."
    tokens = PARSER.parse(caption).tokens
    assert {(t.tag, t.pos) for t in tokens if t.text == color} == {("JJ", "ADJ")}


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        (
            "A small red ball to the left of a striped blue cup in a snowy field.",
            "DT JJ JJ NN IN DT NN IN DT JJ JJ NN IN DT JJ NN .",
        ),
        ("A man rides a horse.", "DT NN VBZ DT NN ."),
        ("Two bears stand in front of a sink", "CD NNS VBP IN NN IN DT NN"),
        ("The people are shopping at a store", "DT NNS VBP VBG IN DT NN"),
        ("a dog that is about to eat", "DT NN WDT VBZ IN TO VB"),
        ("There is a cat on top of it", "EX VBZ DT NN IN NN IN PRP"),
        ("A MAN ON A HORSE", "DT NN IN DT NN"),
        ("A Man On A Horse", "DT NN IN DT NN"),
        ("A light blue train on the tracks.", "DT JJ JJ NN IN DT NNS ."),
    ],
)
def test_tags(caption: str, expected: str) -> None:
    assert " ".join(tags(caption)) == expected


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("The small blue van is parked in front of a white fence.",
         ["The small blue van", "front", "a white fence"]),
        ("A very small black, white and red bird.", ["A very small black, white and red bird"]),
        ("A cutting board and two parked cars", ["A cutting board", "two parked cars"]),
        ("a snow covered hill", ["a snow covered hill"]),
        ("the man's red hat and a tie", ["the man's red hat", "a tie"]),
        ("A group of people riding skis", ["A group", "people", "skis"]),
        ("It runs", ["It"]),
        ("running fast", []),
    ],
)  # fmt: skip
def test_noun_chunks(caption: str, expected: list[str]) -> None:
    assert chunks(caption) == expected


@pytest.mark.parametrize("word", ["red ", "very ", "red, ", "is ", "a ", "and ", "man's ", "dog "])
def test_nonsense_takes_no_time(word: str) -> None:
    # A regular expression that backtracks would never come back from these.
    parse = PARSER.parse(word * 2000)
    assert len(parse.tokens) >= 2000
    hn = HardNegatives(("swap", "shuffle"), parser=PARSER)
    assert set(hn(word * 300)) == {"swap", "shuffle"}


def test_auxiliaries_and_pronouns() -> None:
    parse = PARSER.parse("This is something that has not been moved while she has a hat")
    found = {token.text: token.pos for token in parse.tokens}
    assert found["This"] == "PRON"
    assert found["something"] == "PRON"
    assert found["is"] == found["been"] == "AUX"
    assert found["not"] == "PART"
    assert found["while"] == "SCONJ"
    assert [t.pos for t in parse.tokens if t.text == "has"] == ["VERB", "VERB"]


def test_most_real_captions_have_negatives(real_data: Path) -> None:
    images = json.loads((real_data / "images" / "coco.json").read_text())["images"]
    entries = images.values() if isinstance(images, dict) else images
    captions = [caption for entry in entries for caption in entry["captions"]]
    assert len(captions) > 1000
    hn = HardNegatives(("swap", "shuffle"), parser=PARSER)
    drawn = [hn(caption) for caption in captions]
    shares = {kind: sum(d[kind] is not None for d in drawn) / len(drawn) for kind in hn.kinds}
    assert shares["swap"] > 0.9
    assert shares["shuffle"] > 0.99
