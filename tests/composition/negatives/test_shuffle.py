"""Bigram shuffle: supports enumerated, frequencies compared."""

from __future__ import annotations

from itertools import permutations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.composition.negatives.parses import assert_shares, cats, make_parse, shares, train
from trifocal.composition.negatives.shuffle import draw_shuffle, shuffle_candidates


def test_train_has_22_outputs() -> None:
    expected = set()
    for order in permutations(["A train", "traveling over", "a bridge"]):
        expected.add(" ".join([".", *order]))
        for place in range(3):
            pieces = list(order)
            pieces[place] += "."
            expected.add(" ".join(pieces))
    expected -= {"A train traveling over a bridge.", ". A train traveling over a bridge"}
    assert len(expected) == 22
    assert {"a bridge. A train traveling over", "A train traveling over. a bridge"} <= expected
    candidates = shuffle_candidates(train())
    found = shares(lambda uniform: draw_shuffle(candidates, uniform), 22_000)
    assert_shares(found, dict.fromkeys(expected, 1 / 22), 22_000)


def test_cats_have_5_outputs() -> None:
    candidates = shuffle_candidates(cats())
    expected = {
        "two cats red sofa on a",
        "on a red sofa two cats",
        "red sofa on a two cats",
        "on a two cats red sofa",
        "red sofa two cats on a",
    }
    found = shares(lambda uniform: draw_shuffle(candidates, uniform))
    assert_shares(found, dict.fromkeys(expected, 1 / 5))


def test_too_short_captions_give_none() -> None:
    assert shuffle_candidates(make_parse("A dog", "DT NN")) is None
    assert shuffle_candidates(make_parse("A dog.", "DT NN .")) is None
    assert shuffle_candidates(make_parse("dog", "NN")) is None
    assert shuffle_candidates(make_parse("", "")) is None
    assert shuffle_candidates(make_parse("A dog ran", "DT NN VB")) is not None


def test_gives_up_where_every_order_reads_alike() -> None:
    candidates = shuffle_candidates(make_parse("go go go go", "VB VB VB VB"))
    assert candidates is not None
    calls = 0

    def uniform() -> float:
        nonlocal calls
        calls += 1
        return 0.5

    assert draw_shuffle(candidates, uniform) is None
    assert calls == 10  # one exchange of two chunks for each of ten draws


def test_punctuation_inside_attaches_to_the_word_before() -> None:
    candidates = shuffle_candidates(make_parse("a dog, cat, cow", "DT NN , NN , NN"))
    assert candidates is not None
    assert candidates.pieces == ("a dog", ", cat", ", cow")
    candidates = shuffle_candidates(make_parse("dog, cat, a cow", "NN , NN , DT NN"))
    assert candidates is not None
    assert candidates.pieces == ("dog,", "cat,", "a cow")


@settings(deadline=None)
@given(
    st.lists(st.sampled_from("abcde"), min_size=3, max_size=11),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_shuffle_keeps_the_tokens_and_the_pairs(words: list[str], dot: bool, seed: int) -> None:
    text = " ".join(words) + ("." if dot else "")
    parse = make_parse(text, " ".join(["NN"] * len(words) + ["."] * dot))
    shuffled = draw_shuffle(shuffle_candidates(parse), np.random.default_rng(seed).random)
    if shuffled is None:
        return
    assert sorted(shuffled.replace(".", "").split()) == sorted(words)
    assert shuffled.count(".") == text.count(".")
    assert shuffled.strip(" .") != text.strip(" .")
