"""Parses from spaCy documents: made by hand, and by a pipeline where one is installed."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from tests.composition.negatives.parses import van
from trifocal.composition.negatives import HardNegatives, Span, make_parser, spacy_pipelines
from trifocal.composition.negatives.scene_graph import scene_graph
from trifocal.composition.negatives.spacy_parser import SpacyParser, from_doc
from trifocal.composition.negatives.swap import swap_spans
from trifocal.errors import UserError

spacy = pytest.importorskip("spacy", reason="spaCy is not installed (extra 'text')")


def van_doc() -> Any:
    """spaCy's own document of the published example, annotated by hand."""
    parse = van()
    gaps = [*(token.start for token in parse.tokens[1:]), len(parse.text)]
    return spacy.tokens.Doc(
        spacy.blank("en").vocab,
        words=[token.text for token in parse.tokens],
        spaces=[token.end < gap for token, gap in zip(parse.tokens, gaps)],
        tags=[token.tag for token in parse.tokens],
        pos=[token.pos for token in parse.tokens],
        deps=[token.dep for token in parse.tokens],
        heads=[token.head for token in parse.tokens],
        lemmas=[token.lemma for token in parse.tokens],
    )


def test_document_becomes_the_same_parse() -> None:
    assert from_doc(van_doc()) == van()


def test_white_space_tokens_are_left_out() -> None:
    doc = spacy.tokens.Doc(
        spacy.blank("en").vocab,
        words=["a", " ", "dog", "\n"],
        spaces=[True, False, False, False],
        tags=["DT", "_SP", "NN", "_SP"],
        pos=["DET", "SPACE", "NOUN", "SPACE"],
        deps=["det", "dep", "ROOT", "dep"],
        heads=[2, 0, 2, 2],
    )
    parse = from_doc(doc)
    assert parse.text == "a  dog\n"
    assert [(t.text, t.start, t.end, t.head) for t in parse.tokens] == [
        ("a", 0, 1, 1),
        ("dog", 3, 6, 1),
    ]
    assert parse.noun_chunks == (Span(0, 2),)


def test_document_without_a_tree() -> None:
    parse = from_doc(spacy.blank("en")("a dog"))
    assert not parse.has_dependencies
    assert parse.noun_chunks == ()


def test_loaded_language_may_be_given() -> None:
    class Language:
        meta = {"lang": "en", "name": "hand", "version": "1"}  # noqa: RUF012

        def __call__(self, caption: str) -> Any:
            return van_doc()

        def pipe(self, captions: Any, batch_size: int) -> Any:
            return (van_doc() for _ in captions)

    parser = SpacyParser(Language())
    assert parser.name == "spacy-en_hand-1"
    assert parser.parse("") == van()
    assert list(parser.parse_many(["", ""])) == [van(), van()]


@pytest.mark.skipif(not spacy_pipelines(), reason="no English spaCy pipeline is installed")
def test_installed_pipeline() -> None:
    parser = pickle.loads(pickle.dumps(make_parser("spacy")))
    assert make_parser("auto").name == parser.name
    parse = parser.parse("The small blue van is parked in front of a white fence.")
    assert parse.has_dependencies
    texts = [[parse.span_text(span) for span in spans] for spans in swap_spans(parse)]
    assert texts[0] == ["The small blue van", "a white fence"]
    assert "fence" in texts[2]
    assert list(parser.parse_many([parse.text])) == [parse]
    assert HardNegatives(("swap",), parser=parser)(parse.text)["swap"]
    parse = parser.parse("A man is riding a brown horse on the beach.")
    graph = scene_graph(parse)
    roots = [parse.tokens[entity.root].text for entity in graph.entities]
    assert roots == ["man", "horse", "beach"]
    assert "riding" in {parse.span_text(relation.span) for relation in graph.relations}


def test_pipeline_without_a_parser_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from trifocal.composition.negatives import spacy_parser

    parser = SpacyParser.__new__(SpacyParser)
    parser.__dict__.update(_language=None, _pipeline="en_bare", name="spacy-en_bare-1")
    monkeypatch.setattr(spacy, "load", lambda name, exclude: spacy.blank("en"))
    with pytest.raises(UserError, match="'en_bare' lacks parser and tagger"):
        parser.parse("a dog")
    assert spacy_parser.spacy_pipelines() == spacy_pipelines()
