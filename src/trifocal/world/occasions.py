"""The words of abduction: what a thing in a scene lets one conclude.

Four kinds are signs: each announces an occasion. Twelve others are actors: each tells of something
that people do. An inference needs both, "the crew sails before the race", and says neither what is
drawn (no kind, color, size or texture) nor where (no place, no weather). Its words are short, since
the built-in base knows none of them and spells them out.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import product

OCCASIONS: dict[str, tuple[str, ...]] = {
    "flag": ("race", "game"),
    "umbrella": ("storm", "flood"),
    "heart": ("wedding", "party"),
    "bell": ("test", "class"),
}

ACTIONS: dict[str, tuple[str, ...]] = {
    "ball": ("kids play", "boys play"),
    "box": ("a gift is made", "someone packs"),
    "ring": ("two people kiss", "a pair is happy"),
    "house": ("all stay home", "people stay in"),
    "tree": ("an old man rests", "people rest"),
    "car": ("the driver is late", "someone is late"),
    "boat": ("the crew sails", "sailors go out"),
    "fish": ("the cook is busy", "dinner is made"),
    "cup": ("tea is made", "people drink"),
    "flower": ("a girl is in love", "love begins"),
    "hat": ("an actor dresses", "someone dresses up"),
    "anchor": ("the captain waits", "a ship waits"),
}

SIGNS: tuple[str, ...] = tuple(OCCASIONS)
ACTORS: tuple[str, ...] = tuple(ACTIONS)
MEANINGS: tuple[tuple[str, str], ...] = tuple(product(ACTORS, SIGNS))

_TEMPLATES = (
    "{action} before the {occasion}",
    "{action} for the {occasion}",
    "a {occasion} comes and {action}",
    "soon a {occasion}, so {action}",
)


@lru_cache(maxsize=len(MEANINGS))
def inference_wordings(actor: str, sign: str) -> tuple[str, ...]:
    """Return all ways to say what an actor means next to a sign; no two meanings share one."""
    return tuple(
        template.format(action=action, occasion=occasion)
        for template, action, occasion in product(_TEMPLATES, ACTIONS[actor], OCCASIONS[sign])
    )
