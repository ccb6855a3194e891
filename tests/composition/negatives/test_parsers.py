"""Choosing a parser by name."""

from __future__ import annotations

import pytest

from trifocal.composition.negatives import Parser, make_parser, parsers
from trifocal.composition.negatives.textblob_parser import TextBlobParser
from trifocal.errors import UserError


def test_parsers_by_name() -> None:
    assert isinstance(make_parser("textblob"), TextBlobParser)
    parser = TextBlobParser()
    assert make_parser(parser) is parser
    assert isinstance(parser, Parser)
    with pytest.raises(UserError, match="Did you mean 'textblob'"):
        make_parser("textblb")
    with pytest.raises(UserError, match="unknown caption parser"):
        make_parser("textblob:en")


def test_auto_takes_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parsers, "spacy_pipelines", lambda: [])
    assert isinstance(make_parser("auto"), TextBlobParser)


def test_spacy_without_a_pipeline_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    from trifocal.composition.negatives import spacy_parser

    monkeypatch.setattr(spacy_parser, "spacy_pipelines", lambda: [])
    with pytest.raises(UserError, match="python -m spacy download en_core_web_sm"):
        make_parser("spacy")
    with pytest.raises(UserError, match="'en_core_web_xl' is not installed"):
        make_parser("spacy:en_core_web_xl")
