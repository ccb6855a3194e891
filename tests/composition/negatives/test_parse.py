"""Parses as data, and overlapping spans."""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.composition.negatives.parses import cats, train, van
from trifocal.composition.negatives import Parse, Span
from trifocal.composition.negatives.parse import filter_spans, parse_all
from trifocal.composition.negatives.textblob_parser import TextBlobParser


@pytest.mark.parametrize("parse", [van(), train(), cats(), Parse("", ())])
def test_json_round_trip(parse: Parse) -> None:
    assert Parse.from_json(parse.to_json()) == parse


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"text":"a","tokens":[[0]],"chunks":[]}'])
def test_wrong_json_is_refused(content: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - JSON errors are ValueErrors of their own
        Parse.from_json(content)


def test_parses_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        van().text = "another"  # type: ignore[misc]


def test_root_by_dependencies_and_without() -> None:
    assert van().root(Span(0, 4)) == 3
    assert van().root(Span(6, 9)) == 6  # "in front of" hangs on "in"
    assert cats().root(Span(3, 6)) == 5  # the last noun
    assert cats().root(Span(2, 4)) == 3  # no noun: the last token


def test_children_are_in_order() -> None:
    assert van().children[5] == (3, 4, 6, 12)
    assert cats().children == ((),) * 6


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 6)), max_size=12))
def test_filtered_spans_are_disjoint_and_maximal(pairs: list[tuple[int, int]]) -> None:
    spans = [Span(start, start + length) for start, length in pairs]
    kept = filter_spans(spans)
    assert kept == sorted(kept)
    assert all(left.end <= right.start for left, right in pairwise(kept))
    for span in spans:  # whatever was dropped overlaps something that is at least as long
        assert any(k.start < span.end and span.start < k.end and len(k) >= len(span) for k in kept)


def test_longest_span_first() -> None:
    assert filter_spans([Span(0, 2), Span(1, 4), Span(4, 5)]) == [Span(1, 4), Span(4, 5)]
    assert filter_spans([Span(0, 2), Span(1, 3)]) == [Span(0, 2)]


def test_parse_all_uses_batches_where_it_can() -> None:
    class Batched:
        name = "batched"

        def parse(self, caption: str) -> Parse:
            raise AssertionError("one by one")

        def parse_many(self, captions):
            return (Parse(caption, ()) for caption in captions)

    assert [parse.text for parse in parse_all(Batched(), ["a", "b"])] == ["a", "b"]
    assert [parse.text for parse in parse_all(TextBlobParser(), ["a", "b"])] == ["a", "b"]
