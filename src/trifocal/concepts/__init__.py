"""Concepts: which class, from a handful of photos, and because of which concepts?

CCLI and the few-shot field around it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from trifocal.concepts.baselines import BASELINES
from trifocal.concepts.discovery import VisualConcepts, discover_visual_concepts
from trifocal.concepts.explanation import Explanation, Term
from trifocal.concepts.head import Head
from trifocal.concepts.method import CCLI
from trifocal.concepts.tuned import METHODS

# All heads by the names of the command line. Those with "ccli-" are CCLI's other readings, and the
# two controls: the same inference without visual concepts.
HEADS: dict[str, Callable[..., Head]] = {
    "ccli": CCLI,
    "ccli-tf": partial(CCLI, head="tf"),
    "ccli-linear": partial(CCLI, head="linear"),
    "ccli-full": partial(CCLI, head="full"),
    "ccli-text": partial(CCLI, visual="text"),
    "ccli-raw": partial(CCLI, visual="raw"),
    **BASELINES,
}

__all__ = [
    "CCLI",
    "HEADS",
    "METHODS",
    "Explanation",
    "Head",
    "Term",
    "VisualConcepts",
    "discover_visual_concepts",
]
