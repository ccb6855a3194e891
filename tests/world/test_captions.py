"""Captions are true, unambiguous and varied."""

from __future__ import annotations

from itertools import permutations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from trifocal.world.captions import (
    HABITS,
    OPENINGS,
    Mention,
    Statement,
    Style,
    caption,
    captions,
    draw_statement,
    holds,
    render,
)
from trifocal.world.scene import Scene, Thing, make_scene
from trifocal.world.vocabulary import KINDS, RELATION_PHRASES, SETTING_PHRASES


def _drawn(count: int, things: int | None = None):
    for index in range(count):
        scene = make_scene(0, index, things=things)
        yield scene, caption(scene, np.random.default_rng(index))


@settings(max_examples=300, deadline=None)
@given(
    index=st.integers(0, 10**6),
    things=st.sampled_from([None, 1, 2, 3, 4]),
    wording=st.sampled_from(list(HABITS)),
)
def test_statements_are_true_and_name_each_thing_unmistakably(index, things, wording):
    scene = make_scene(2, index, "train", things)
    statement = draw_statement(scene, np.random.default_rng(index), HABITS[wording])
    assert holds(statement, scene)
    for named in statement.mentions:
        assert sum(named.fits(thing) for thing in scene.things) == 1


SCENE = Scene(
    "one",
    (
        Thing("ball", "red", "small", "plain", (0.1, 0.4, 0.3, 0.6)),
        Thing("cup", "blue", "large", "striped", (0.6, 0.4, 0.9, 0.65)),
    ),
    "field",
    "snow",
)
BALL, CUP = Mention("ball", "red"), Mention("cup", "blue", "large", "striped")


def test_holds_by_hand():
    assert holds(Statement((BALL, CUP), "left"), SCENE)
    assert holds(Statement((CUP, BALL), "right", ("field", "snow")), SCENE)
    assert not holds(Statement((CUP, BALL), "left"), SCENE)
    assert not holds(Statement((BALL, CUP), "above"), SCENE)
    assert not holds(Statement((BALL,), None, ("field", "rain")), SCENE)
    assert not holds(Statement((Mention("ball", "blue"),)), SCENE)
    assert not holds(Statement((Mention("ball", texture="striped"),)), SCENE)
    assert not holds(Statement((Mention("ball"), Mention("ball"))), SCENE)
    assert not holds(Statement((BALL, CUP, BALL)), SCENE)
    assert holds(Statement((Mention("ball", spot="left"), Mention("cup", spot="right"))), SCENE)
    assert not holds(Statement((Mention("ball", spot="right"),)), SCENE)
    assert not holds(Statement((Mention("ball", spot="top"),)), SCENE)  # half-way up is neither


def test_wording_by_hand():
    two = Statement((BALL, CUP), "left")
    assert render(two, Style()) == "a red ball left of a large striped blue cup"
    assert render(two, Style(copula=True, sentence=True, relation_phrase=1)) == (
        "A red ball is left of a large striped blue cup."
    )
    listed = Statement((BALL, CUP, Mention("apple", "orange")), None, ("field", "snow"))
    assert render(listed, Style(opening=1)) == (
        "there is a red ball, a large striped blue cup and an orange apple in a snowy field"
    )
    assert render(Statement((BALL,), None, ("field", "snow")), Style(setting_first=True)) == (
        "in a snowy field, a red ball"
    )
    placed = Statement((Mention("ball", "red", spot="left"), Mention("cup", spot="top")))
    assert render(placed, Style()) == "a red ball on the left and a cup at the top"
    third = Statement((BALL, CUP, Mention("hat")), "left")
    assert render(third, Style(copula=True)).endswith("blue cup, along with a hat")


def test_captions_vary_as_designed():
    texts = [text.lower() for _, text in _drawn(4000)]
    phrases = sorted({p for group in RELATION_PHRASES.values() for p in group}, key=len)
    related = np.mean([any(f" {p} " in t for p in phrases) for t in texts])
    settled = np.mean(
        [any(p in t for group in SETTING_PHRASES.values() for p in group) for t in texts]
    )
    mentions = [sum(t.count(f" {kind}") for kind in KINDS) for t in texts]
    assert 0.5 < related < 0.7
    assert 0.06 < settled < 0.15
    assert {1, 2, 3} <= set(mentions)
    assert 6 <= np.mean([len(t.split()) for t in texts]) <= 13
    assert len(set(texts)) > 0.93 * len(texts)
    web = [caption(make_scene(0, i), np.random.default_rng(i), HABITS["web"]) for i in range(300)]
    for opening in OPENINGS[1:]:
        assert any(text.lower().startswith(opening) for text in web)


def test_captions_with_several_things_mostly_have_long_noun_phrases():
    """Hard negatives swap noun phrases of more than two tokens; there must be some to swap."""
    long = []
    for index in range(1000):
        statement = draw_statement(make_scene(0, index), np.random.default_rng(index))
        if len(statement.mentions) > 1:
            long.append(sum(len(m.phrase().split()) > 2 for m in statement.mentions) >= 2)
    assert np.mean(long) > 0.5


def test_several_captions_of_a_scene_are_different_and_repeatable():
    scene = make_scene(0, 4)
    first = captions(scene, np.random.default_rng(0), 5)
    assert len(set(first)) == len(first) == 5
    assert first == captions(scene, np.random.default_rng(0), 5)


def test_as_many_captions_as_asked_for_even_of_a_plain_scene():
    thing = Thing("ball", "red", "medium", "plain", (0.3, 0.3, 0.6, 0.6))
    scene = Scene("plain", (thing,), "room", "rain")
    assert len(captions(scene, np.random.default_rng(0), 200)) == 200


def test_mentioned_relation_is_that_of_the_scene():
    """Read the relation back from the text, independently of the statement."""
    checked = 0
    for scene, text in _drawn(500, things=2):
        for i, j in permutations(range(2), 2):
            a, b = scene.things[i], scene.things[j]
            before, _, after = text.partition(f" {b.kind}")
            if a.kind == b.kind or f" {a.kind}" not in f" {before}" or not after:
                continue
            for relation, phrases in RELATION_PHRASES.items():
                if any(f" {phrase} a" in before for phrase in phrases):
                    assert scene.relation(i, j) == relation, text
                    checked += 1
    assert checked > 100
