"""Entities, modifiers and relations from hand-made dependency trees and from chunks."""

from __future__ import annotations

import pytest

from tests.composition.negatives.parses import make_parse, train, van
from trifocal.composition.negatives import Parse
from trifocal.composition.negatives.scene_graph import SceneGraph, scene_graph
from trifocal.composition.negatives.textblob_parser import TextBlobParser


def described(parse: Parse) -> tuple[dict[str, list[str]], list[str]]:
    """Entities with their modifiers, and relations, as words."""
    graph = scene_graph(parse)
    words = [token.text for token in parse.tokens]
    entities = {words[e.root]: [words[index] for index in e.modifiers] for e in graph.entities}
    return entities, [parse.span_text(relation.span) for relation in graph.relations]


def test_phrasal_preposition_swallows_its_noun() -> None:
    assert described(van()) == (
        {"van": ["The", "small", "blue"], "fence": ["a", "white"]},
        ["in front of"],
    )


def test_verb_that_qualifies_a_noun_gives_its_preposition() -> None:
    assert described(train()) == ({"train": ["A"], "bridge": ["a"]}, ["over"])


TREES = {
    "A woman is playing the piano in the room": (
        "DT NN VBZ/AUX VBG DT NN IN DT NN",
        "0-2 4-6 7-9",
        "1:det 3:nsubj 3:aux 3:ROOT 5:det 3:dobj 3:prep 8:det 6:pobj",
        ["playing", "in"],
    ),
    "The woman is a pianist": (
        "DT NN VBZ/AUX DT NN",
        "0-2 3-5",
        "1:det 2:nsubj 2:ROOT 4:det 2:attr",
        ["is"],
    ),
    "The piano is played by a woman": (
        "DT NN VBZ/AUX VBN IN DT NN",
        "0-2 5-7",
        "1:det 3:nsubjpass 3:auxpass 3:ROOT 3:agent 6:det 4:pobj",
        ["played"],
    ),
    "A man looks at a dog": (
        "DT NN VBZ IN DT NN",
        "0-2 4-6",
        "1:det 2:nsubj 2:ROOT 2:prep 5:det 3:pobj",
        ["looks at"],
    ),
    "A piano in the room": (
        "DT NN IN DT NN",
        "0-2 3-5",
        "1:det 1:ROOT 1:prep 4:det 2:pobj",
        ["in"],
    ),
    "A piano next to a woman": (
        "DT NN RB IN DT NN",
        "0-2 4-6",
        "1:det 1:ROOT 1:advmod 2:prep 5:det 3:pobj",
        ["next to"],
    ),
    "A woman standing next to a piano": (
        "DT NN VBG RB IN DT NN",
        "0-2 5-7",
        "1:det 1:ROOT 1:acl 2:advmod 3:prep 6:det 4:pobj",
        ["next to"],
    ),
    "A piano is in the room": (
        "DT NN VBZ/AUX IN DT NN",
        "0-2 4-6",
        "1:det 2:nsubj 2:ROOT 2:prep 5:det 3:pobj",
        ["in"],
    ),
    "It is in the room": (
        "PRP VBZ/AUX IN DT NN",
        "0-1 3-5",
        "1:nsubj 1:ROOT 1:prep 4:det 2:pobj",
        [],  # a pronoun is no entity, so the relation has no first end
    ),
}


@pytest.mark.parametrize("caption", TREES)
def test_relations_of_trees(caption: str) -> None:
    tags, chunks, tree, expected = TREES[caption]
    lemmas = {"looks": "look"}
    parse = make_parse(caption, tags, chunks, tree)
    tokens = tuple(
        type(t)(t.text, t.start, t.end, t.tag, t.pos, lemmas.get(t.text, t.lemma), t.dep, t.head)
        for t in parse.tokens
    )
    assert described(Parse(caption, tokens, parse.noun_chunks))[1] == expected


def test_coordinated_adjectives_and_compounds() -> None:
    parse = make_parse(
        "two black and white stone lions",
        "CD JJ CC JJ NN NNS",
        "0-6",
        "5:nummod 5:amod 1:cc 1:conj 5:compound 5:ROOT",
    )
    assert described(parse) == ({"lions": ["two", "black", "white"]}, [])


def test_conjunct_of_an_object_keeps_the_relation() -> None:
    # "It" is no entity, but the dog beside it is.
    parse = make_parse(
        "It and a dog in a room",
        "PRP CC DT NN IN DT NN",
        "0-1 2-4 5-7",
        "0:ROOT 0:cc 3:det 0:conj 0:prep 6:det 4:pobj",
    )
    entities, relations = described(parse)
    assert entities == {"dog": ["a"], "room": ["a"]}
    assert relations == []  # "It" is tagged as a pronoun, which carries no relation
    parse = make_parse(
        "Cats and a dog in a room",
        "NNS CC DT NN IN DT NN",
        "0-1 2-4 5-7",
        "0:ROOT 0:cc 3:det 0:conj 0:prep 6:det 4:pobj",
    )
    assert described(parse)[1] == ["in"]


def test_gate() -> None:
    assert scene_graph(van()).composed
    one = make_parse("a small dog", "DT JJ NN", "0-3", "2:det 2:amod 2:ROOT")
    assert not scene_graph(one).composed
    bare = make_parse("dogs and cats", "NNS CC NNS", "0-1 2-3", "0:ROOT 0:cc 0:conj")
    assert len(scene_graph(bare).entities) == 2
    assert not scene_graph(bare).composed
    with_determiner = make_parse(
        "dogs and the cats", "NNS CC DT NNS", "0-1 2-4", "0:ROOT 0:cc 3:det 0:conj"
    )
    assert scene_graph(with_determiner).composed
    assert not SceneGraph((), ()).composed


def test_every_stretch_of_tokens_is_one_element() -> None:
    elements = scene_graph(van()).elements()
    spans = [(e.span.start, e.span.end, e.root) for e in elements]
    assert spans == [
        (3, 4, 3), (11, 12, 11),  # van, fence
        (0, 1, 0), (1, 2, 1), (2, 3, 2), (9, 10, 9), (10, 11, 10),
        (6, 9, 6),  # in front of, by its preposition
    ]  # fmt: skip
    assert len(set(elements)) == len(elements)


@pytest.mark.parametrize(
    ("caption", "entities", "relations"),
    [
        (
            "The small blue van is parked in front of a white fence.",
            {"van": ["The", "small", "blue"], "fence": ["a", "white"]},
            ["in front of"],
        ),
        ("A man looking at two dogs", {"man": ["A"], "dogs": ["two"]}, ["looking at"]),
        ("A man rides a horse", {"man": ["A"], "horse": ["a"]}, ["rides"]),
        ("A cup next to a sink", {"cup": ["A"], "sink": ["a"]}, ["next to"]),
        ("A cake is eaten by a child", {"cake": ["A"], "child": ["a"]}, ["eaten"]),
        ("A dog and a cat", {"dog": ["A"], "cat": ["a"]}, []),
        ("A dog, a cat", {"dog": ["A"], "cat": ["a"]}, []),
        ("It is on a table", {"table": ["a"]}, ["on"]),
    ],
)
def test_approximation_from_chunks(caption: str, entities: dict, relations: list[str]) -> None:
    assert described(TextBlobParser().parse(caption)) == (entities, relations)
