"""Hard negatives by shuffling the order of word pairs (bigram shuffle).

FSC-CLIP (Oh et al., EMNLP 2024, arXiv 2410.05210).
"""

from __future__ import annotations

from dataclasses import dataclass

from trifocal.composition.negatives.parse import Parse
from trifocal.composition.negatives.swap import Uniform

_DRAWS = 10  # until one differs from the caption


@dataclass(frozen=True, slots=True)
class ShuffleCandidates:
    """The pieces of a caption that change places."""

    pieces: tuple[str, ...]  # each chunk of tokens as it is written
    words: tuple[tuple[str, ...], ...]  # the tokens of each chunk
    closing: str  # the closing punctuation mark, which is put at a place of its own, or ""
    marks: frozenset[str]  # the caption's punctuation tokens
    # the caption's tokens without one outer punctuation mark at either end.
    original: tuple[str, ...]


def shuffle_candidates(parse: Parse, size: int = 2) -> ShuffleCandidates | None:
    """Cut a caption into consecutive chunks of `size` tokens.

    Returns:
        The chunks, or None where they cannot change places: only one chunk, or one chunk and a
        closing punctuation mark.
    """
    tokens = parse.tokens
    marks = frozenset(token.text for token in tokens if token.pos == "PUNCT")
    chunks = [tokens[start : start + size] for start in range(0, len(tokens), size)]
    closing = ""
    if chunks and len(chunks[-1]) == 1 and chunks[-1][0].pos == "PUNCT":
        closing = chunks.pop()[0].text
    if len(chunks) < 2:
        return None
    words = tuple(tuple(token.text for token in chunk) for chunk in chunks)
    whole = [word for chunk in words for word in chunk] + ([closing] if closing else [])
    pieces = tuple("".join(_joined(chunk, marks)) for chunk in words)
    return ShuffleCandidates(pieces, words, closing, marks, _inner(whole, marks))


def _joined(words: tuple[str, ...], marks: frozenset[str]) -> list[str]:
    """The words of one chunk with a space before each but the first and punctuation marks."""
    return [word if not index or word in marks else f" {word}" for index, word in enumerate(words)]


def _inner(words: list[str], marks: frozenset[str]) -> tuple[str, ...]:
    """A caption's tokens without one leading and one closing punctuation mark."""
    start = 1 if words and words[0] in marks else 0
    end = len(words) - 1 if len(words) > 1 and words[-1] in marks else len(words)
    return tuple(words[start:end])


def draw_shuffle(candidates: ShuffleCandidates | None, uniform: Uniform) -> str | None:
    """The chunks in a random order, the closing mark at a random place among them.

    An order that reads like the caption but for outer punctuation is drawn again.

    Returns:
        The shuffled caption, or None where ten draws in a row read like the caption.
    """
    if candidates is None:
        return None
    count = len(candidates.pieces)
    for _ in range(_DRAWS):
        order = list(range(count))
        for last in range(count - 1, 0, -1):
            other = int(uniform() * (last + 1))
            order[last], order[other] = order[other], order[last]
        pieces = [candidates.pieces[index] for index in order]
        words = [list(candidates.words[index]) for index in order]
        if candidates.closing:
            place = int(uniform() * (count + 1))
            if place:
                pieces[place - 1] += candidates.closing
                words[place - 1].append(candidates.closing)
            else:
                pieces.insert(0, candidates.closing)
                words.insert(0, [candidates.closing])
        flat = [word for chunk in words for word in chunk]
        if _inner(flat, candidates.marks) != candidates.original:
            return " ".join(pieces)
    return None
