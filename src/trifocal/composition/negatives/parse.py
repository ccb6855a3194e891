"""What the rule-based hard negatives need to know about a caption: tokens, tags and noun chunks.

A `Parser` is any object with `name` and `parse(caption) -> Parse`; `parsers.py` names those that
come with the package.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class Token:
    """One word or punctuation mark."""

    text: str  # as written in the caption
    start: int  # offset of its first character in the caption
    end: int  # offset after its last character
    tag: str  # penn Treebank tag (`NN`, `NNS`, `VBG`, ...)
    pos: str  # universal part of speech (`NOUN`, `VERB`, `ADP`, ...)
    lemma: str = ""  # base form in lower case; the lower-cased text where the parser gives none
    dep: str = ""  # label of the dependency on its head; "" where the parser gives none
    head: int = -1  # index of its head (the root points at itself); -1 where the parser gives none


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """Tokens `start` to `end - 1`."""

    start: int
    end: int

    def __len__(self) -> int:
        return self.end - self.start


@dataclass(frozen=True)
class Parse:
    """A parsed caption; it can be written as JSON and read back."""

    text: str  # the caption, exactly
    tokens: tuple[Token, ...]  # its words and punctuation marks in order, without white space
    # its base noun phrases ("a small red ball"), in order, disjoint.
    noun_chunks: tuple[Span, ...] = ()

    @property
    def has_dependencies(self) -> bool:
        """Whether the parser gave a dependency tree."""
        return bool(self.tokens) and all(token.head >= 0 for token in self.tokens)

    @cached_property
    def children(self) -> tuple[tuple[int, ...], ...]:
        """The indices of each token's dependents, left to right."""
        found: list[list[int]] = [[] for _ in self.tokens]
        for index, token in enumerate(self.tokens):
            if 0 <= token.head < len(found) and token.head != index:
                found[token.head].append(index)
        return tuple(map(tuple, found))

    def characters(self, span: Span) -> tuple[int, int]:
        """First character and one past the last of a span of tokens."""
        return self.tokens[span.start].start, self.tokens[span.end - 1].end

    def span_text(self, span: Span) -> str:
        """The caption's text under a span of tokens."""
        start, end = self.characters(span)
        return self.text[start:end]

    def root(self, span: Span) -> int:
        """Index of the span's syntactic head.

        With dependencies: the token whose head lies outside the span (the one nearest to the
        root of the sentence). Without: the last noun, else the last token.
        """
        inside = range(span.start, span.end)
        if self.has_dependencies:
            for index in inside:
                head = self.tokens[index].head
                if head == index or head not in inside:
                    return index
        for index in reversed(inside):
            if self.tokens[index].pos in {"NOUN", "PROPN", "PRON"}:
                return index
        return span.end - 1

    def to_json(self) -> str:
        """The parse as compact JSON."""
        rows = [[t.start, t.end, t.tag, t.pos, t.lemma, t.dep, t.head] for t in self.tokens]
        chunks = [[span.start, span.end] for span in self.noun_chunks]
        content = {"text": self.text, "tokens": rows, "chunks": chunks}
        return json.dumps(content, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, content: str) -> Parse:
        """Read what `to_json` wrote.

        Raises:
            ValueError: the content is not such JSON.
        """
        try:
            data = json.loads(content)
            text = data["text"]
            tokens = tuple(Token(text[r[0] : r[1]], *r) for r in data["tokens"])
            chunks = tuple(Span(start, end) for start, end in data["chunks"])
        except (KeyError, IndexError, TypeError, RecursionError) as error:
            raise ValueError(f"not a stored parse: {error!r}") from error
        return cls(text, tokens, chunks)


@runtime_checkable
class Parser(Protocol):
    """Anything that parses a caption. `name` says which parser, and which version of it."""

    @property
    def name(self) -> str: ...

    def parse(self, caption: str) -> Parse: ...


def parse_all(parser: Parser, captions: Iterable[str]) -> Iterator[Parse]:
    """Parse many captions in order, in batches where the parser can (`parse_many`)."""
    many = getattr(parser, "parse_many", None)
    if many is not None:
        return many(captions)
    return (parser.parse(caption) for caption in captions)


def filter_spans(spans: Iterable[Span]) -> list[Span]:
    """Drop overlapping spans, keeping the longest first and, among equals, the first.

    Returns:
        Disjoint spans from left to right (spaCy's rule of the same name).
    """
    kept: list[Span] = []
    taken: set[int] = set()
    for span in sorted(spans, key=lambda span: (-len(span), span.start)):
        if taken.isdisjoint(range(span.start, span.end)):
            kept.append(span)
            taken.update(range(span.start, span.end))
    return sorted(kept)
