"""The words of the world fit what they are used for."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from textblob.en import parse

from trifocal.world.shapes import ASPECT, STROKES
from trifocal.world.vocabulary import (
    ALLOWED_COLORS,
    COLOR_NAMES,
    COLORS,
    HELD_OUT,
    KINDS,
    MARKED_SIZES,
    MARKED_TEXTURES,
    NOVEL_KINDS,
    PLACES,
    SETTING_PHRASES,
    article,
)


def _tags(phrase: str) -> list[str]:
    return [token.split("/")[1] for token in str(parse(phrase, tags=True, chunks=False)).split()]


def test_every_noun_phrase_is_tagged_as_determiner_adjectives_noun():
    """Hard negatives are made from part-of-speech tags, so each word must be read rightly."""
    for kind in KINDS:
        for texture in (None, *MARKED_TEXTURES):
            for color in COLOR_NAMES:
                words = [w for w in (texture, color, kind) if w]
                expected = ["DT", *["JJ"] * (len(words) - 1), "NN"]
                assert _tags(article(" ".join(words))) == expected, words
    for size in MARKED_SIZES:
        assert _tags(f"a {size} ball") == ["DT", "JJ", "NN"]


def test_the_world_is_as_large_as_promised():
    assert len(KINDS) == 24
    assert len({*KINDS, *NOVEL_KINDS}) == len(STROKES) == len(ASPECT) == 32
    assert len(COLORS) == 12
    assert set(SETTING_PHRASES) == {
        (p, c) for p in PLACES for c in ("day", "night", "rain", "snow")
    }


def test_colors_are_far_apart():
    for (a, rgb_a), (b, rgb_b) in combinations(COLORS.items(), 2):
        assert np.linalg.norm(np.subtract(rgb_a, rgb_b)) > 60, (a, b)


def test_every_kind_has_one_held_out_color_and_they_are_spread():
    assert len(HELD_OUT) == len(KINDS)
    assert {kind for kind, _ in HELD_OUT} == set(KINDS)
    assert {color for _, color in HELD_OUT} == set(COLORS)
    assert all(len(colors) == len(COLORS) - 1 for colors in ALLOWED_COLORS.values())


def test_articles():
    assert article("orange anchor") == "an orange anchor"
    assert article("umbrella") == "an umbrella"
    assert article("red apple") == "a red apple"
