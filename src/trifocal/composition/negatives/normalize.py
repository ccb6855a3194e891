"""Taking away what a text alone gives away about rule-made negatives.

Swaps and shuffles leave capitals and full stops in odd places, which a model can learn instead of
looking at the picture. Balanced training writes positives and negatives alike in lower case and
without closing punctuation.
"""

from __future__ import annotations

from trifocal.composition.negatives.tokens import is_punctuation


def normalize_caption(caption: str) -> str:
    """A caption in lower case, single-spaced, without closing punctuation."""
    words = " ".join(caption.lower().split())
    end = len(words)
    while end and (words[end - 1].isspace() or is_punctuation(words[end - 1])):
        end -= 1
    return words[:end] or words
