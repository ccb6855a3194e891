"""Hard negatives by swapping two phrases of one kind ("negclip").

FSC-CLIP (Oh et al., EMNLP 2024, arXiv 2410.05210), after NegCLIP (Yuksekgonul et al., ICLR 2023,
arXiv 2210.01936): two noun phrases, two verb phrases, two nouns, ... change places.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from trifocal.composition.negatives.parse import Parse, Span, filter_spans

_LETTERS = {"VERB": "V", "ADV": "R", "AUX": "A"}
_VERB_PHRASE = re.compile("V?R*A*V+")
_VERBAL_RUN = re.compile("[VRA]+")
_LONGEST_PHRASE = 16  # tokens; only nonsense has longer verb phrases

Uniform = Callable[[], float]  # draws from [0, 1), as `numpy.random.Generator.random` does


@dataclass(frozen=True, slots=True)
class SwapCandidates:
    """What can change places in a caption."""

    text: str  # the caption
    # for each kind of phrase that offers a swap, the character ranges of its spans, left to right.
    # Kinds with fewer than two spans, or with two equal ones, are left out.
    groups: tuple[tuple[tuple[int, int], ...], ...]


def verb_phrases(parse: Parse) -> list[Span]:
    """All stretches of coarse tags that match [VERB?][ADV*][AUX*][VERB+], overlaps included."""
    letters = "".join(_LETTERS.get(token.pos, "-") for token in parse.tokens)
    found = []
    for run in _VERBAL_RUN.finditer(letters):
        for start in range(run.start(), run.end()):
            for end in range(start + 1, min(start + _LONGEST_PHRASE, run.end()) + 1):
                if _VERB_PHRASE.fullmatch(letters, start, end):
                    found.append(Span(start, end))
    return found


def swap_spans(parse: Parse) -> list[list[Span]]:
    """The six lists of spans that may change places among themselves, overlaps removed.

    Returns:
        Noun phrases of more than two tokens, verb phrases, singular nouns, plural nouns, adverbs,
        adjectives; each from left to right.
    """
    single = [Span(index, index + 1) for index in range(len(parse.tokens))]

    def words(attribute: str, value: str) -> list[Span]:
        return [s for s in single if getattr(parse.tokens[s.start], attribute) == value]

    lists = [
        [span for span in parse.noun_chunks if len(span) > 2],
        verb_phrases(parse),
        words("tag", "NN"),
        words("tag", "NNS"),
        words("pos", "ADV"),
        words("pos", "ADJ"),
    ]
    return [filter_spans(spans) for spans in lists]


def swap_candidates(parse: Parse) -> SwapCandidates | None:
    """The spans of a caption that can change places, or None where there are none."""
    groups = []
    for spans in swap_spans(parse):
        if len({parse.span_text(span) for span in spans}) > 1:
            groups.append(tuple(parse.characters(span) for span in spans))
    return SwapCandidates(parse.text, tuple(groups)) if groups else None


def draw_swap(candidates: SwapCandidates | None, uniform: Uniform) -> str | None:
    """One swap, uniform over the kinds of phrase.

    From each kind two spans are drawn without replacement; a kind whose two spans read the same
    drops out for this draw.

    Returns:
        The caption with two ranges exchanged (white space, case and punctuation untouched), or
        None.
    """
    if candidates is None:
        return None
    text = candidates.text
    pairs = []
    for spans in candidates.groups:
        first, second = spans[0], spans[1]
        count = len(spans)
        if count > 2:
            i, j = int(uniform() * count), int(uniform() * (count - 1))
            j += j >= i  # two different spans, every pair as likely as any other
            first, second = (spans[i], spans[j]) if i < j else (spans[j], spans[i])
        if text[first[0] : first[1]] != text[second[0] : second[1]]:
            pairs.append((first, second))
    if not pairs:
        return None
    (a, b), (c, d) = pairs[int(uniform() * len(pairs))]
    swapped = text[:a] + text[c:d] + text[b:c] + text[a:b] + text[d:]
    return swapped if swapped != text else None
