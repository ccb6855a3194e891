"""The words of the built-in world: what there is, how it looks, where it stands.

Nouns and adjectives are single English words that a part-of-speech tagger reads as such, because
hard negatives are made from captions by swapping them. Nothing here is drawn; see `shapes` and
`palette` in `sprites` for the looks.
"""

from __future__ import annotations

KINDS: tuple[str, ...] = (
    "ball", "box", "cone", "star", "heart", "moon", "ring", "arrow", "house", "tree", "car", "boat",
    "fish", "cup", "mushroom", "flower", "umbrella", "bell", "kite", "hat", "anchor", "flag",
    "butterfly", "cactus",
)  # fmt: skip

# Drawn like the others, but never in an ordinary scene: classes that a model has not met.
NOVEL_KINDS: tuple[str, ...] = (
    "bottle", "lamp", "apple", "candle", "ladder", "crown", "hammer", "rocket",
)  # fmt: skip

COLORS: dict[str, tuple[int, int, int]] = {
    "red": (222, 38, 44),
    "orange": (250, 132, 14),
    "yellow": (250, 214, 36),
    "green": (38, 158, 60),
    "blue": (36, 86, 214),
    "purple": (128, 52, 178),
    "pink": (250, 138, 190),
    "brown": (128, 76, 36),
    "black": (34, 34, 40),
    "white": (248, 248, 250),
    "gray": (146, 148, 156),
    "turquoise": (44, 204, 200),
}

# The longer side of a thing's box, as a share of the picture's side. Medium goes without saying.
# A thing that has the picture to itself is seen from nearer by.
SIZES: dict[str, float] = {"small": 0.27, "medium": 0.36, "large": 0.45}
ALONE_SIZES: dict[str, float] = {"small": 0.34, "medium": 0.48, "large": 0.62}
MARKED_SIZES: tuple[str, ...] = ("small", "large")

# Plain goes without saying.
TEXTURES: tuple[str, ...] = ("plain", "striped", "speckled")
MARKED_TEXTURES: tuple[str, ...] = ("striped", "speckled")

PLACES: tuple[str, ...] = ("room", "field", "street", "beach")
CONDITIONS: tuple[str, ...] = ("day", "night", "rain", "snow")

RELATIONS: tuple[str, ...] = ("left", "right", "above", "below")
OPPOSITE: dict[str, str] = {"left": "right", "right": "left", "above": "below", "below": "above"}

RELATION_PHRASES: dict[str, tuple[str, ...]] = {
    "left": ("left of",),
    "right": ("right of",),
    "above": ("above", "over"),
    "below": ("below", "under"),
}

# Where in the picture a thing is.
SPOT_PHRASES: dict[str, str] = {
    "left": "on the left",
    "right": "on the right",
    "top": "at the top",
    "bottom": "at the bottom",
}

# Every phrase is true of its picture; a weather word never contradicts the scene.
SETTING_PHRASES: dict[tuple[str, str], tuple[str, ...]] = {
    ("room", "day"): ("in a room", "in a bright room"),
    ("room", "night"): ("in a room at night", "in a dark room"),
    ("room", "rain"): ("in a room on a rainy day",),
    ("room", "snow"): ("in a room on a snowy day",),
    ("field", "day"): ("in a field", "in a sunny field"),
    ("field", "night"): ("in a field at night", "in a dark field"),
    ("field", "rain"): ("in a rainy field", "in a field in the rain"),
    ("field", "snow"): ("in a snowy field", "in a field in the snow"),
    ("street", "day"): ("on a street", "on a sunny street"),
    ("street", "night"): ("on a street at night", "on a dark street"),
    ("street", "rain"): ("on a rainy street", "on a street in the rain"),
    ("street", "snow"): ("on a snowy street", "on a street in the snow"),
    ("beach", "day"): ("on a beach", "on a sunny beach"),
    ("beach", "night"): ("on a beach at night", "on a dark beach"),
    ("beach", "rain"): ("on a rainy beach", "on a beach in the rain"),
    ("beach", "snow"): ("on a snowy beach", "on a beach in the snow"),
}


def _held_out() -> frozenset[tuple[str, str]]:
    """One color of every kind, spread evenly: 7 and 12 share no factor, so all colors occur."""
    names = list(COLORS)
    return frozenset((kind, names[(7 * i + 3) % len(names)]) for i, kind in enumerate(KINDS))


# Pairs (kind, color) that only the `novel` split draws; all other splits never show them.
HELD_OUT: frozenset[tuple[str, str]] = _held_out()
COLOR_NAMES: tuple[str, ...] = tuple(COLORS)
ALLOWED_COLORS: dict[str, tuple[str, ...]] = {
    kind: tuple(color for color in COLORS if (kind, color) not in HELD_OUT) for kind in KINDS
}


def article(phrase: str) -> str:
    """Return `phrase` with "a" or "an" before it (by letter, which is right for these words)."""
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"
