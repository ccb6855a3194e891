"""Cutting a caption into words and punctuation marks, with character offsets.

The rules are those of the Penn Treebank as far as captions need them: punctuation stands alone,
contractions are cut ("man's" gives "man", "'s"), hyphenated words stay whole.
"""

from __future__ import annotations

import re
import unicodedata

_ABBREVIATIONS = r"(?:Mr|Mrs|Ms|Dr|St|Jr|Sr|Mt|vs)\.(?=\s)"

_TOKEN = re.compile(
    rf"""
    {_ABBREVIATIONS}
    | (?:[A-Za-z]\.){{2,}}                        # U.S., a.m.
    | \d+(?:[.,:]\d+)*(?:st|nd|rd|th|s)?\b        # 2, 1,000, 10:30, 3rd, 1920s
    | \w+(?:-\w+)*                                # words, hyphenated words
    | ['’](?:s|S|m|M|d|D|re|RE|ve|VE|ll|LL)\b     # the tail of a contraction
    | \.{{2,}} | -{{2,}}
    | \S                                          # any other mark
    """,
    re.VERBOSE,
)
_NEGATION = re.compile(r"(?<=\w)n['’]t\b", re.IGNORECASE)


def tokenize(caption: str) -> list[tuple[int, int]]:
    """Character ranges of a caption's tokens, in order and without white space."""
    pieces: list[tuple[int, int]] = []
    position = 0
    for negation in _NEGATION.finditer(caption):
        pieces += [match.span() for match in _TOKEN.finditer(caption, position, negation.start())]
        pieces.append(negation.span())
        position = negation.end()
    pieces += [match.span() for match in _TOKEN.finditer(caption, position)]
    return pieces


def is_mark(text: str) -> bool:
    """Whether a token has no letter and no digit."""
    return not any(character.isalnum() for character in text)


def is_punctuation(text: str) -> bool:
    """Whether a token is made of punctuation only (not of symbols such as `$`, `+` or emoji)."""
    return all(unicodedata.category(character).startswith("P") for character in text)
