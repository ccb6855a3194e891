"""Scene graphs: what is where, drawn from (seed, split, index) alone.

A scene is the single source of its picture, captions, boxes, relations and tests, so that none
can contradict another. Boxes are in unit coordinates, x to the right and y down.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from trifocal.errors import UserError
from trifocal.world.shapes import ASPECT
from trifocal.world.vocabulary import (
    ALLOWED_COLORS,
    ALONE_SIZES,
    COLOR_NAMES,
    CONDITIONS,
    HELD_OUT,
    KINDS,
    PLACES,
    SIZES,
    TEXTURES,
)

SPLITS: dict[str, int] = {"train": 0, "val": 1, "test": 2, "novel": 3}
THING_COUNTS: tuple[tuple[int, float], ...] = ((2, 0.45), (3, 0.33), (4, 0.22))
TEXTURE_SHARES: tuple[float, ...] = (0.6, 0.2, 0.2)  # plain, striped, spotted
BACKGROUND_VARIANTS = 4
_OFF_CENTER = 0.12  # from here on a thing is on one side of the picture
_BORDER = 0.025  # nothing comes nearer to the picture's edge
_GAP = 0.02  # nothing comes nearer to another thing
_HELD_OUT = sorted(HELD_OUT)
_GRID = ((0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75))


@dataclass(frozen=True)
class Thing:
    """One drawn object; `box` is (x0, y0, x1, y1) of its silhouette, in unit coordinates."""

    kind: str
    color: str
    size: str
    texture: str
    box: tuple[float, float, float, float]

    @property
    def center(self) -> tuple[float, float]:
        """The box center (x, y)."""
        x0, y0, x1, y1 = self.box
        return (x0 + x1) / 2, (y0 + y1) / 2

    @property
    def spots(self) -> tuple[str, ...]:
        """Where in the picture it clearly is: none, one or two of `SPOT_PHRASES`."""
        found = []
        for offset, (before, after) in zip(self.center, (("left", "right"), ("top", "bottom"))):
            if abs(offset - 0.5) >= _OFF_CENTER:
                found.append(before if offset < 0.5 else after)
        return tuple(found)


@dataclass(frozen=True)
class Scene:
    """Things on a background; equal scenes give equal pictures."""

    id: str
    things: tuple[Thing, ...]
    place: str
    condition: str
    variant: int = 0  # which of the drawings of this place

    def to_dict(self) -> dict:
        """Return plain data, ready for JSON."""
        return asdict(self)

    def relation(self, first: int, second: int) -> str | None:
        """Return where thing `first` is, seen from `second`, or None where that is debatable.

        A relation holds when the centers differ along its axis at least twice as much as along
        the other, and by at least 0.15.
        """
        (ax, ay), (bx, by) = self.things[first].center, self.things[second].center
        dx, dy = ax - bx, ay - by
        if abs(dx) >= max(0.15, 2 * abs(dy)):
            return "left" if dx < 0 else "right"
        if abs(dy) >= max(0.15, 2 * abs(dx)):
            return "above" if dy < 0 else "below"
        return None

    def relations(self) -> tuple[tuple[int, str, int], ...]:
        """Return all (first, relation, second) that hold, in both directions."""
        pairs = [(i, j) for i in range(len(self.things)) for j in range(len(self.things)) if i != j]
        return tuple((i, r, j) for i, j in pairs if (r := self.relation(i, j)) is not None)


def generator(seed: int, split: str, index: int, purpose: int = 0) -> np.random.Generator:
    """Return the random generator of one scene (or of another `purpose` of it)."""
    if split not in SPLITS:
        known = ", ".join(SPLITS)
        raise UserError(f"The world has no split {split!r}: choose one of {known}.")
    if seed < 0 or index < 0:
        raise UserError(
            f"Seed and index of the world are whole numbers from 0, not {seed} and {index}."
        )
    entropy = np.random.SeedSequence((seed, SPLITS[split], index, purpose))
    return np.random.Generator(np.random.Philox(entropy))


def scene_id(
    seed: int, index: int, split: str, things: int | None, kinds: int | None = None
) -> str:
    """Return the name of a scene; it decides the picture wholly."""
    count = "" if things is None else f"-n{things}"
    few = "" if kinds is None else f"-k{kinds}"
    return f"world-{split}-{seed}-{index:07d}{count}{few}"


def make_scene(
    seed: int,
    index: int,
    split: str = "train",
    things: int | None = None,
    kinds: int | None = None,
) -> Scene:
    """Draw scene `index` of `split`; the same arguments give the same scene at any time.

    Args:
        seed: which world.
        index: which scene of it.
        split: "train", "val", "test"; or "novel", whose scenes all show a pair of kind and color
            that the other splits never show.
        things: how many things (1 to 4); None draws 2 to 4.
        kinds: only the first so many of `KINDS` are there; None for all of them.

    Returns:
        The scene. No two of its things share both kind and color, and no boxes overlap.
    """
    if things is not None and not 1 <= things <= 4:
        raise UserError(f"A scene has 1 to 4 things, not {things}.")
    if kinds is not None and not 1 <= kinds <= len(KINDS):
        raise UserError(f"The world has 1 to {len(KINDS)} kinds of things, not {kinds}.")
    rng = generator(seed, split, index, purpose=things or 0)
    count = things if things is not None else _choose(THING_COUNTS, rng.random())
    looks: list[tuple[str, str]] = []
    while len(looks) < count:
        if split == "novel" and not looks:
            pair = _HELD_OUT[rng.integers(len(_HELD_OUT))]
        else:
            pair = draw_pair(rng, KINDS[:kinds])
        if pair not in looks:
            looks.append(pair)
    found = place_things(looks, rng, ALONE_SIZES if count == 1 else SIZES)
    return Scene(scene_id(seed, index, split, things, kinds), found, *draw_setting(rng))


def place_things(
    looks: Sequence[tuple[str, str]],
    rng: np.random.Generator,
    scale: Mapping[str, float] = SIZES,
    sizes: Sequence[str] | None = None,
    spread: float = 0.06,
) -> tuple[Thing, ...]:
    """Give things of the given (kind, color) a size, a texture and a place of their own.

    Args:
        looks: kind and color of 1 to 4 things.
        rng: decides.
        scale: the longer side that goes with a size, as a share of the picture's side.
        sizes: the size of each thing; None draws them.
        spread: how much sides of one size differ. Without it pictures share more sprites, so
            that large ones are drawn fast.
    """
    sizes = [draw_size(rng) for _ in looks] if sizes is None else sizes
    textures = [draw_texture(rng) for _ in looks]
    sides = [scale[size] * (1 - spread / 2 + spread * rng.random()) for size in sizes]
    centers = _layout(sides, rng)
    return tuple(
        Thing(kind, color, size, texture, thing_box(kind, side, center))
        for (kind, color), size, texture, side, center in zip(
            looks, sizes, textures, sides, centers
        )
    )


def draw_setting(rng: np.random.Generator) -> tuple[str, str, int]:
    """Draw place, condition and variant of a scene's background, each uniformly."""
    return (
        PLACES[rng.integers(len(PLACES))],
        CONDITIONS[rng.integers(len(CONDITIONS))],
        int(rng.integers(BACKGROUND_VARIANTS)),
    )


def draw_pair(rng: np.random.Generator, kinds: Sequence[str] = KINDS) -> tuple[str, str]:
    """Draw (kind, color) uniformly from all pairs of these kinds that are not held out."""
    while True:
        pair = kinds[int(rng.integers(len(kinds)))], COLOR_NAMES[rng.integers(len(COLOR_NAMES))]
        if pair not in HELD_OUT:
            return pair


def draw_size(rng: np.random.Generator) -> str:
    """Draw a size, each equally likely."""
    return tuple(SIZES)[rng.integers(len(SIZES))]


def draw_texture(rng: np.random.Generator) -> str:
    """Draw a texture; most things are plain."""
    return _choose(tuple(zip(TEXTURES, TEXTURE_SHARES)), rng.random())


def allowed(kind: str, color: str) -> bool:
    """Say whether the ordinary splits may show this pair."""
    return color in ALLOWED_COLORS[kind]


def _choose(shares, draw: float):
    """Return the value of `shares` ((value, share), …) that the uniform `draw` falls on."""
    for value, share in shares:
        draw -= share
        if draw < 0:
            return value
    return shares[-1][0]


def thing_box(
    kind: str, side: float, center: tuple[float, float]
) -> tuple[float, float, float, float]:
    """Return the box of a thing whose longer side is `side`."""
    aspect = ASPECT[kind]
    width, height = side * min(1.0, aspect), side * min(1.0, 1 / aspect)
    (x, y) = center
    corners = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    return (round(corners[0], 5), round(corners[1], 5), round(corners[2], 5), round(corners[3], 5))


def _layout(sides: list[float], rng: np.random.Generator) -> list[tuple[float, float]]:
    """Place squares of the given sides without overlap and return their centers.

    Every thing gets a square whatever its shape, and the rules treat both axes and both
    directions alike: so no relation is likelier than its opposite, nor goes with some kinds.
    """
    if len(sides) == 1:
        return [(_free(sides[0], 0.0, 1.0, rng), _free(sides[0], 0.0, 1.0, rng))]
    if len(sides) == 2:
        return _layout_two(sides, rng)
    cells = rng.permutation(len(_GRID))[: len(sides)]
    return [
        (
            _free(side, _GRID[cell][0] - 0.25, _GRID[cell][0] + 0.25, rng),
            _free(side, _GRID[cell][1] - 0.25, _GRID[cell][1] + 0.25, rng),
        )
        for side, cell in zip(sides, cells)
    ]


def _layout_two(sides: list[float], rng: np.random.Generator) -> list[tuple[float, float]]:
    """Place two things side by side, one above the other, or (one time in six) askew."""
    style, flip = rng.random(), rng.random() < 0.5
    along = [
        _free(side, 0.0 if first else 0.5, 0.5 if first else 1.0, rng)
        for side, first in zip(sides, (not flip, flip))
    ]
    if style < 1 / 6:
        across = [_free(side, 0.0, 1.0, rng) for side in sides]
    else:
        level = _free(max(sides), 0.0, 1.0, rng)
        slack = [_BORDER + side / 2 for side in sides]
        shift = [0.05 * (2 * rng.random() - 1) for _ in sides]
        across = [min(max(level + d, s), 1 - s) for d, s in zip(shift, slack)]
    upright = rng.random() < 0.5
    return list(zip(across, along) if upright else zip(along, across))


def _free(side: float, low: float, high: float, rng: np.random.Generator) -> float:
    """Draw a center for a span of length `side` inside [low, high], clear of the margins.

    A margin is the border at the picture's edge and half the gap inside it.
    """
    start = low + (_BORDER if low <= 0 else _GAP / 2) + side / 2
    stop = high - (_BORDER if high >= 1 else _GAP / 2) - side / 2
    return start + (stop - start) * rng.random()
