"""Parses made by hand, so that the rules are tested apart from any parser."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np

from trifocal.composition.negatives import Parse, Span, Token

_COARSE = {
    "NN": "NOUN", "NNS": "NOUN", "DT": "DET", "JJ": "ADJ", "IN": "ADP", "RB": "ADV", "CD": "NUM",
    "VBZ": "VERB", "VBG": "VERB", "VBN": "VERB", "VB": "VERB", "CC": "CCONJ", ".": "PUNCT",
    ",": "PUNCT", "PRP": "PRON",
}  # fmt: skip


def make_parse(text: str, tags: str, chunks: str = "", tree: str = "") -> Parse:
    """A parse from a caption whose tokens stand apart or end in punctuation.

    Args:
        text: the caption.
        tags: a Penn tag for each token; `tag/POS` where the coarse tag is not the usual one.
        chunks: noun chunks as "0-3 5-6" (first token, one past the last).
        tree: for each token `head:label`.
    """
    tokens, place = [], 0
    parts = text.replace(".", " .").replace(",", " ,").split()
    arcs = tree.split() if tree else ["-1:"] * len(parts)
    for word, tag, arc in zip(parts, tags.split(), arcs, strict=True):
        start = text.index(word, place)
        place = start + len(word)
        penn, _, coarse = tag.partition("/")
        head, _, dep = arc.partition(":")
        pos = coarse or _COARSE[penn]
        tokens.append(Token(word, start, place, penn, pos, word.lower(), dep, int(head)))
    spans = tuple(Span(*map(int, chunk.split("-"))) for chunk in chunks.split())
    return Parse(text, tuple(tokens), spans)


def van() -> Parse:
    """The caption of the published swap example."""
    return make_parse(
        "The small blue van is parked in front of a white fence.",
        "DT JJ JJ NN VBZ/AUX VBN IN NN IN DT JJ NN .",
        chunks="0-4 7-8 9-12",
        tree="3:det 3:amod 3:amod 5:nsubj 5:aux 5:ROOT 5:prep 6:pobj 7:prep 11:det 11:amod 8:pobj "
        "5:punct",
    )


def train() -> Parse:
    return make_parse(
        "A train traveling over a bridge.",
        "DT NN VBG IN DT NN .",
        chunks="0-2 4-6",
        tree="1:det 1:ROOT 1:acl 2:prep 5:det 3:pobj 1:punct",
    )


def cats() -> Parse:
    return make_parse("two cats on a red sofa", "CD NNS IN DT JJ NN", chunks="0-2 3-6")


def shares(draw: Callable[[Callable[[], float]], str | None], count: int = 20_000) -> dict:
    """How often each outcome is drawn, as shares; the same at every run."""
    uniform = np.random.default_rng(0).random
    seen = Counter(draw(uniform) for _ in range(count))
    return {outcome: number / count for outcome, number in seen.items()}


def assert_shares(found: dict, expected: dict, count: int = 20_000) -> None:
    """The outcomes are exactly those expected, each within 4.5 standard errors of its share."""
    assert set(found) == set(expected)
    for outcome, share in expected.items():
        error = (share * (1 - share) / count) ** 0.5
        assert abs(found[outcome] - share) <= 4.5 * error + 1e-12, (outcome, found[outcome], share)
