"""Swap: the published examples with their exact distributions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.composition.negatives.parses import assert_shares, cats, make_parse, shares, train, van
from trifocal.composition.negatives import Span
from trifocal.composition.negatives.swap import (
    draw_swap,
    swap_candidates,
    swap_spans,
    verb_phrases,
)


def test_span_lists_of_the_published_example() -> None:
    lists = swap_spans(van())
    texts = [[van().span_text(span) for span in spans] for spans in lists]
    assert texts == [
        ["The small blue van", "a white fence"],  # "front" has one token
        ["is parked"],
        ["van", "front", "fence"],
        [],
        [],
        ["small", "blue", "white"],
    ]


def test_published_distribution() -> None:
    candidates = swap_candidates(van())
    expected = {
        "a white fence is parked in front of The small blue van.": 1 / 3,
        "The small blue front is parked in van of a white fence.": 1 / 9,
        "The small blue fence is parked in front of a white van.": 1 / 9,
        "The small blue van is parked in fence of a white front.": 1 / 9,
        "The blue small van is parked in front of a white fence.": 1 / 9,
        "The white blue van is parked in front of a small fence.": 1 / 9,
        "The small white van is parked in front of a blue fence.": 1 / 9,
    }
    assert_shares(shares(lambda uniform: draw_swap(candidates, uniform)), expected)


def test_short_noun_phrases_do_not_swap() -> None:
    candidates = swap_candidates(train())
    found = shares(lambda uniform: draw_swap(candidates, uniform), 50)
    assert found == {"A bridge traveling over a train.": 1.0}


def test_singular_and_plural_never_swap() -> None:
    assert swap_candidates(cats()) is None
    assert draw_swap(None, np.random.default_rng(0).random) is None


def test_equal_spans_give_nothing() -> None:
    parse = make_parse("a dog by a dog", "DT NN IN DT NN", chunks="0-2 3-5")
    assert swap_candidates(parse) is None


def test_equal_pair_among_three_gives_none() -> None:
    # Nouns dog, dog, cat: of the three pairs one reads the same, and there is no second draw.
    parse = make_parse("dog by dog by cat", "NN IN NN IN NN")
    candidates = swap_candidates(parse)
    found = shares(lambda uniform: draw_swap(candidates, uniform))
    assert_shares(found, {None: 1 / 3, "cat by dog by dog": 1 / 3, "dog by cat by dog": 1 / 3})


def test_uniform_over_kinds_not_over_pairs() -> None:
    # One pair of adverbs against six pairs of nouns: half of the draws each.
    parse = make_parse("slowly cat dog cow hen quickly", "RB NN NN NN NN RB")
    candidates = swap_candidates(parse)
    found = shares(lambda uniform: draw_swap(candidates, uniform))
    assert found["quickly cat dog cow hen slowly"] == pytest.approx(0.5, abs=0.016)
    assert len(found) == 7


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("VERB", {(0, 1)}),
        ("AUX VERB", {(0, 2), (1, 2)}),
        ("VERB ADV AUX VERB VERB", None),
        ("AUX ADV VERB", {(1, 3), (2, 3)}),
        ("AUX AUX", set()),
        ("ADV", set()),
    ],
)
def test_verb_phrase_pattern(tags: str, expected: set | None) -> None:
    words = tags.split()
    parse = make_parse(
        " ".join(f"w{i}" for i in range(len(words))), " ".join(f"X/{tag}" for tag in words)
    )
    found = {(span.start, span.end) for span in verb_phrases(parse)}
    if expected is None:  # the longest match is the whole
        assert (0, len(words)) in found
    else:
        assert found == expected


def test_longest_verb_phrases_are_kept() -> None:
    parse = make_parse("has slowly been moving and is seen", "VBZ RB VBN/AUX VBG CC VBZ/AUX VBN")
    assert swap_spans(parse)[1] == [Span(0, 4), Span(5, 7)]


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(["ape", "bee", "cat", "dog"]), min_size=0, max_size=7),
    st.integers(0, 2**32 - 1),
)
def test_swap_keeps_the_words_and_differs(words: list[str], seed: int) -> None:
    text = "  ".join(words)
    candidates = swap_candidates(make_parse(text, " ".join(["NN"] * len(words))))
    swapped = draw_swap(candidates, np.random.default_rng(seed).random)
    if len(set(words)) < 2:
        assert swapped is None
    if swapped is not None:
        assert swapped != text
        assert sorted(swapped.split()) == sorted(words)
        assert swapped.count("  ") == text.count("  ")
