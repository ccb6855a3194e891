"""The words of abduction: what a thing in a scene lets one conclude.

Four kinds are signs: each announces an occasion. Twelve others are actors: each tells of something
that people do. An inference needs both, "the crew rows at the race", and says neither what is
drawn (no kind, color, size or texture) nor where (no place, no weather). Its words are short: the
built-in base knows none of them and spells them out, which a frozen text tower is slow to read.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import product

OCCASIONS: dict[str, str] = {"flag": "race", "umbrella": "trip", "heart": "date", "bell": "fire"}

ACTIONS: dict[str, tuple[str, str]] = {
    "ball": ("men run", "the team runs"),
    "box": ("a man pays", "the king pays"),
    "ring": ("a girl prays", "the lady prays"),
    "house": ("all rest", "the man rests"),
    "tree": ("a boy hides", "the thief hides"),
    "car": ("a man is late", "the driver is late"),
    "boat": ("men row", "the crew rows"),
    "fish": ("the cook eats", "all eat"),
    "cup": ("tea is made", "the cook makes tea"),
    "flower": ("a boy sings", "the girl sings"),
    "hat": ("a king comes", "the queen comes"),
    "anchor": ("men wait", "the crew waits"),
}

SIGNS: tuple[str, ...] = tuple(OCCASIONS)
ACTORS: tuple[str, ...] = tuple(ACTIONS)
MEANINGS: tuple[tuple[str, str], ...] = tuple(product(ACTORS, SIGNS))

_TEMPLATES = (
    "{action} at the {occasion}",
    "at the {occasion} {action}",
    "{action} for the {occasion}",
    "soon a {occasion}, so {action}",
)


@lru_cache(maxsize=len(MEANINGS))
def inference_wordings(actor: str, sign: str) -> tuple[str, ...]:
    """Return all ways to say what an actor means next to a sign; no two meanings share one."""
    return tuple(
        template.format(action=action, occasion=OCCASIONS[sign])
        for template, action in product(_TEMPLATES, ACTIONS[actor])
    )
