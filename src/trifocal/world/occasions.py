"""The words of abduction: what a thing in a scene lets one conclude.

Six kinds are signs: each announces an occasion. The other eighteen are actors: each tells of
something that people do. An inference needs both, "the crew gets ready before the race", and says
neither what is drawn (no kind, color, size or texture) nor where (no place, no weather).
"""

from __future__ import annotations

from functools import lru_cache
from itertools import product

from trifocal.world.vocabulary import KINDS, article

OCCASIONS: dict[str, tuple[str, ...]] = {
    "bell": ("lesson", "class"),
    "flag": ("race", "contest"),
    "umbrella": ("storm", "flood"),
    "heart": ("wedding", "wedding feast"),
    "star": ("concert", "show"),
    "kite": ("picnic", "trip"),
}

ACTIONS: dict[str, tuple[str, ...]] = {
    "ball": ("the kids play a game", "some children play"),
    "box": ("someone packs a gift", "a gift is packed"),
    "cone": ("workers repair the road", "the road gets fixed"),
    "moon": ("the baby goes to sleep", "someone falls asleep"),
    "ring": ("two people get engaged", "a man makes a promise"),
    "arrow": ("the guests find their way", "someone shows the way"),
    "house": ("the family stays home", "everyone stays at home"),
    "tree": ("an old man rests", "someone rests in the shade"),
    "car": ("the driver hurries", "someone drives too fast"),
    "boat": ("the crew gets ready", "the sailors get ready"),
    "fish": ("the cook makes dinner", "someone cooks a meal"),
    "cup": ("grandma makes tea", "someone drinks tea"),
    "mushroom": ("a hiker feels sick", "someone gets sick"),
    "flower": ("a boy falls in love", "someone is in love"),
    "hat": ("the actor dresses up", "someone dresses up"),
    "anchor": ("the captain has to wait", "a ship has to wait"),
    "butterfly": ("a girl takes pictures", "an artist takes pictures"),
    "cactus": ("the traveler needs water", "someone is thirsty"),
}

SIGNS: tuple[str, ...] = tuple(OCCASIONS)
ACTORS: tuple[str, ...] = tuple(kind for kind in KINDS if kind not in OCCASIONS)
MEANINGS: tuple[tuple[str, str], ...] = tuple(product(ACTORS, SIGNS))

_TEMPLATES = (
    "{action} before the {occasion}",
    "{action} because of the {occasion}",
    "{an_occasion} is coming, so {action}",
    "soon there is {an_occasion}, so {action}",
    "the {occasion} is near and {action}",
)


@lru_cache(maxsize=len(MEANINGS))
def inference_wordings(actor: str, sign: str) -> tuple[str, ...]:
    """Return all ways to say what an actor means next to a sign; no two meanings share one."""
    return tuple(
        template.format(action=action, occasion=occasion, an_occasion=article(occasion))
        for template, action, occasion in product(_TEMPLATES, ACTIONS[actor], OCCASIONS[sign])
    )
