"""Captions in a wrong order, as ARO's order sets ask about them.

Yuksekgonul et al., ICLR 2023 (arXiv 2210.01936): nouns and adjectives change places, or all other words
do, or the words inside each three, or the threes. The authors never released the strings, and theirs
depend on a tagger and on two generators; here a caption and a seed decide, whatever else is asked.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from random import Random

from trifocal.composition.negatives import make_parser
from trifocal.composition.negatives.parse import Parse

_MOST_WORDS = 30
_MARKS = re.compile(r'[.!"()*#:;~]')
_parser = lru_cache(make_parser)


def clean(caption: str) -> str:
    """Return a caption as BLIP's code prepares it: lower case, some marks out, at most 30 words."""
    return " ".join(_MARKS.sub(" ", caption.lower()).split()[:_MOST_WORDS])


@lru_cache(maxsize=1 << 15)  # data are checked, then read
def order_choices(caption: str, parser: str, seed: int) -> tuple[str, ...]:
    """Return a caption and four wrong orders of it, all cleaned alike.

    Args:
        caption: As it stands in the file.
        parser: What finds words, nouns and adjectives (see `make_parser`).
        seed: Seed of the shuffles.
    """
    parse = _parser(parser).parse(caption)
    random = Random(f"{seed} {caption}".encode("utf-8", "surrogatepass"))
    words = [token.text for token in parse.tokens]
    nouns, adjectives = _tagged(parse, "NN"), _tagged(parse, "JJ")
    others = [place for place in range(len(words)) if place not in {*nouns, *adjectives}]
    threes = [words[start : start + 3] for start in range(0, len(words), 3)]
    inside = [random.sample(three, len(three)) for three in threes]
    orders = (
        _moved(_moved(words, nouns, random), adjectives, random),
        _moved(words, others, random),
        [word for three in inside for word in three],
        [word for three in random.sample(threes, len(threes)) for word in three],
    )
    return tuple(clean(text) for text in (caption, *map(" ".join, orders)))


def _tagged(parse: Parse, tag: str) -> list[int]:
    """Return the places of the words whose Penn tag starts like this."""
    return [place for place, token in enumerate(parse.tokens) if token.tag.startswith(tag)]


def _moved(words: Sequence[str], places: Sequence[int], random: Random) -> list[str]:
    """Return the words, those at some places in a random order."""
    moved = list(words)
    for place, source in zip(places, random.sample(places, len(places)), strict=True):
        moved[place] = words[source]
    return moved
