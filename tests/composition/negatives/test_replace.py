"""Replace: exact distributions over a small lexicon."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.composition.negatives.parses import assert_shares, make_parse, shares, train, van
from trifocal.composition.negatives import HardNegatives, ParseStore
from trifocal.composition.negatives.prepositions import PREPOSITIONS
from trifocal.composition.negatives.replace import (
    Choices,
    Replacer,
    Vocabulary,
    draw_replace,
)


class SmallLexicon:
    """A few words with weights; counts how often it is asked."""

    name = "small-1"

    def __init__(self, **words: dict[str, int]) -> None:
        self.words = words
        self.asked: list[tuple[str, str]] = []

    def candidates(self, word: str, pos: str) -> dict[str, int]:
        self.asked.append((word, pos))
        return self.words.get(f"{word}_{pos}", {})


def keep(lemma: str, tag: str) -> str:
    return lemma


def test_prepositions_are_the_published_ones() -> None:
    assert len(PREPOSITIONS) == 75
    assert sum(PREPOSITIONS.values()) == 26_479
    assert all(isinstance(weight, int) and weight >= 1 for weight in PREPOSITIONS.values())
    assert sorted(PREPOSITIONS, key=lambda name: -PREPOSITIONS[name])[:7] == [
        "of", "to", "in", "for", "with", "as", "on",
    ]  # fmt: skip


def test_two_of_an_element_without_replacement() -> None:
    # One element, weights 1, 2, 5. The pool holds two different forms, each drawn half the time.
    weights = {"x": 1, "y": 2, "z": 5}
    choices = Choices.of(weights, Vocabulary())
    assert choices.weights() == weights
    assert choices.slots == 2
    first = {form: weight / 8 for form, weight in weights.items()}
    second = {
        form: sum(
            first[other] * weights[form] / (8 - weights[other])
            for other in weights
            if other != form
        )
        for form in weights
    }
    for slot, expected in enumerate([first, second]):
        found = shares(lambda uniform, slot=slot: choices.draw(slot, uniform))
        assert_shares(found, expected)


def test_single_candidate_fills_one_slot() -> None:
    choices = Choices.of({"x": 7}, Vocabulary())
    assert choices.slots == 1
    assert shares(lambda uniform: choices.draw(0, uniform), 20) == {"x": 1.0}
    assert Choices.of({}, Vocabulary()).slots == 0


@pytest.mark.parametrize("value", [0.0, math.nextafter(1.0, 0.0)])
def test_draws_at_the_ends_of_the_range(value: float) -> None:
    choices = Choices.of({"x": 1, "y": 2, "z": 5}, Vocabulary())
    assert choices.draw(0, lambda: value) == ("x" if value == 0 else "z")
    assert choices.draw(1, lambda: value) == "y"


def test_pool_weighs_elements_by_their_candidates() -> None:
    lexicon = SmallLexicon(
        van_n={"car": 3},
        fence_n={"wall": 1, "gate": 3},
        blue_a={"red": 1, "green": 1, "pink": 2},
        parked_v={"driven": 9},  # the verb is no element: the relation is the preposition
    )
    candidates = Replacer(lexicon, keep).candidates(van())
    assert candidates is not None
    assert candidates.slots == 1 + 2 + 2 + 2  # car; wall, gate; two colors; two prepositions
    found = shares(lambda uniform: draw_replace(candidates, uniform))
    slot = 1 / 7
    whole = "The small {} {} is parked {} a white {}."
    expected = {
        whole.format("blue", "car", "in front of", "fence"): slot,
        whole.format("blue", "van", "in front of", "wall"): slot,
        whole.format("blue", "van", "in front of", "gate"): slot,
    }
    weights = {"red": 0.25, "green": 0.25, "pink": 0.5}
    for color, weight in weights.items():
        after = sum(p * weight / (1 - p) for other, p in weights.items() if other != color)
        text = whole.format(color, "van", "in front of", "fence")
        expected[text] = slot * (weight + after)
    for text, share in expected.items():
        assert found[text] == pytest.approx(share, abs=0.012)
    rest = {text: share for text, share in found.items() if text not in expected}
    assert sum(rest.values()) == pytest.approx(2 * slot, abs=0.015)
    head, tail = "The small blue van is parked ", " a white fence."
    for text in rest:
        assert text.startswith(head)
        assert text.endswith(tail)
        phrase = text[len(head) : -len(tail)]
        assert phrase in PREPOSITIONS
        assert phrase != "in front of"


def test_prepositions_are_drawn_by_frequency() -> None:
    candidates = Replacer(SmallLexicon(), keep).candidates(train())
    assert candidates is not None
    total = sum(PREPOSITIONS.values()) - PREPOSITIONS["over"]
    first = {name: weight / total for name, weight in PREPOSITIONS.items() if name != "over"}
    expected = {}
    for name, share in first.items():
        second = sum(p * share / (1 - p) for other, p in first.items() if other != name)
        expected[name] = (share + second) / 2
    found = shares(lambda uniform: draw_replace(candidates, uniform))
    for name in ("of", "to", "in", "for", "with"):
        text = f"A train traveling {name} a bridge."
        error = (expected[name] / 20_000) ** 0.5
        assert found[text] == pytest.approx(expected[name], abs=4.5 * error)
    assert "A train traveling over a bridge." not in found


def test_determiners_and_numbers_are_never_replaced() -> None:
    lexicon = SmallLexicon(the_n={"x": 1}, two_n={"x": 1}, cats_n={"dogs": 1})
    parse = make_parse(
        "the two cats on sofas", "DT CD NNS IN NNS", "0-3 4-5",
        "2:det 2:nummod 2:ROOT 2:prep 3:pobj",
    )  # fmt: skip
    candidates = Replacer(lexicon, keep).candidates(parse)
    assert candidates is not None
    assert {word for word, _ in lexicon.asked} == {"cats", "sofas"}


def test_gate_closes() -> None:
    lexicon = SmallLexicon(dog_n={"cat": 1})
    parse = make_parse("a small dog", "DT JJ NN", "0-3", "2:det 2:amod 2:ROOT")
    assert Replacer(lexicon, keep).candidates(parse) is None
    assert draw_replace(None, np.random.default_rng(0).random) is None


def test_nothing_to_replace_gives_none() -> None:
    parse = make_parse("a dog and a cat", "DT NN CC DT NN", "0-2 3-5",
                       "1:det 1:ROOT 1:cc 4:det 1:conj")  # fmt: skip
    assert Replacer(SmallLexicon(), keep).candidates(parse) is None


@pytest.mark.parametrize(
    ("original", "expected"), [("dog", "big cat"), ("Dog", "Big Cat"), ("DOG", "BIG CAT")]
)
def test_case_is_copied_and_parts_are_spaced(original: str, expected: str) -> None:
    lexicon = SmallLexicon(dog_n={"big_cat": 1})
    parse = make_parse(
        f"a {original} by hens", "DT NN IN NNS", "0-2 3-4", "1:det 1:ROOT 1:prep 2:pobj"
    )
    candidates = Replacer(lexicon, keep).candidates(parse)
    assert candidates is not None
    found = shares(lambda uniform: draw_replace(candidates, uniform), 500)
    assert f"a {expected} by hens" in found


def test_candidates_are_inflected_and_never_read_like_the_word() -> None:
    def plural(lemma: str, tag: str) -> str:
        return f"{lemma}s" if tag == "NNS" else lemma

    lexicon = SmallLexicon(cats_n={"cat": 5, "Cat": 1, "dog": 2, "hen": 3})
    choices = Replacer(lexicon, plural).word_choices("cats", "n", "NNS")
    assert choices.weights() == {"dogs": 2, "hens": 3}


def test_words_are_asked_for_once(tmp_path) -> None:
    with ParseStore(tmp_path / "store.sqlite") as store:
        lexicon = SmallLexicon(van_n={"car": 3, "bus": 1})
        first = Replacer(lexicon, keep, "keep-1", store)
        first.candidates(van())
        asked = len(lexicon.asked)
        first.candidates(van())
        assert len(lexicon.asked) == asked
    with ParseStore(tmp_path / "store.sqlite") as store:
        again = SmallLexicon(van_n={"other": 1})
        choices = Replacer(again, keep, "keep-1", store).word_choices("van", "n", "NN")
        assert choices.weights() == {"car": 3, "bus": 1}
        assert again.asked == []
        other = Replacer(again, keep, "keep-2", store).word_choices("van", "n", "NN")
        assert other.weights() == {"other": 1}  # another inflector, other forms


def test_generator_uses_a_given_lexicon() -> None:
    hn = HardNegatives(("replace",), parser="textblob", lexicon=SmallLexicon(dog_n={"fox": 1}))
    drawn = {hn("A dog and a cat.")["replace"] for _ in range(5)}
    assert drawn == {"A fox and a cat."}
