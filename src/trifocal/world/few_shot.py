"""Few-shot classes: things of known parts and looks under names that say nothing.

A class is a combination: a body of one kind, a sign of another kind on one of its upper corners,
and the body's color, its texture or both. Every one of these is shared with other classes, and
most classes have a neighbor that differs in one of them only. The bodies of a quarter of the
classes are of kinds that no caption ever named. Size, place, weather, the sign's color, a small
bystander and whatever a class does not fix are drawn anew for every picture.

So the name is of no use, one picture of a class leaves open what is essential to it, and
concepts ("a striped cup", "a star") say much of what there is to say.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from trifocal.world.boxes import UnitBox, overlap
from trifocal.world.captions import Mention, Statement, Style, render
from trifocal.world.domains import shift
from trifocal.world.draw import draw
from trifocal.world.region_source import check_split
from trifocal.world.scene import (
    Scene,
    Thing,
    draw_pair,
    draw_setting,
    draw_texture,
    generator,
    thing_box,
)
from trifocal.world.vocabulary import ALLOWED_COLORS, COLOR_NAMES, NOVEL_KINDS, TEXTURES

_SCENE = 230  # the purpose of the draw of a scene
_BODY = (0.5, 0.6)  # the body's longer side, as a share of the picture's
_SIGN = 0.55  # the sign's longer side, as a share of the body's
_INSET = 0.05  # how far inside the body's box the sign's center is, as a share of that box
_BYSTANDER = (0.16, 0.2)
_BORDER = 0.02  # nothing comes nearer to the picture's edge
_TRIES = 1000

FEW_SHOT_TEMPLATES: tuple[str, ...] = ("a {}", "there is a {}.", "a picture of a {}")


@dataclass(frozen=True)
class FewShotClass:
    """What all pictures of a class share; None is drawn anew for every picture."""

    name: str  # invented
    body: str  # kind of the large thing
    sign: str  # kind of the thing on its upper left or right corner
    color: str | None  # of the body
    texture: str | None  # of the body

    @property
    def descriptions(self) -> tuple[str, str]:
        """What it is, in both orders, as a caption says it; its name says nothing of it."""
        texture = None if self.texture == "plain" else self.texture
        body, sign = Mention(self.body, self.color, texture=texture), Mention(self.sign)
        both = (body, sign), (sign, body)
        first, second = (render(Statement(parts), Style()) for parts in both)
        return first, second


# In the order of their names, which is that of class folders. The classes of a body are spread
# over both halves, so that base-to-new tests meet all bodies on both sides.
FEW_SHOT_CLASSES: tuple[FewShotClass, ...] = (
    FewShotClass("blicket", "house", "fish", "pink", None),
    FewShotClass("bosa", "apple", "bell", "blue", "speckled"),
    FewShotClass("dax", "box", "star", "red", None),
    FewShotClass("fendle", "car", "heart", "pink", "striped"),
    FewShotClass("fep", "mushroom", "umbrella", "pink", "striped"),
    FewShotClass("gazzer", "house", "fish", "purple", None),
    FewShotClass("glorp", "hat", "tree", None, "plain"),
    FewShotClass("jeck", "bottle", "star", "green", None),
    FewShotClass("koba", "hat", "tree", None, "striped"),
    FewShotClass("lorp", "box", "star", "yellow", None),
    FewShotClass("mipen", "bottle", "star", "red", None),
    FewShotClass("nurm", "cup", "bell", "yellow", "plain"),
    FewShotClass("ospy", "car", "umbrella", "red", "plain"),
    FewShotClass("pilk", "apple", "heart", "yellow", "plain"),
    FewShotClass("quib", "mushroom", "bell", "blue", "striped"),
    FewShotClass("rizzle", "cup", "heart", "yellow", "speckled"),
    FewShotClass("sibu", "cup", "heart", "green", "speckled"),
    FewShotClass("sprock", "hat", "fish", None, "plain"),
    FewShotClass("teebu", "mushroom", "bell", "blue", "speckled"),
    FewShotClass("toma", "apple", "heart", "yellow", "speckled"),
    FewShotClass("tulver", "bottle", "tree", "red", None),
    FewShotClass("wug", "house", "star", "purple", None),
    FewShotClass("yavo", "box", "tree", "red", None),
    FewShotClass("zorp", "car", "umbrella", "pink", "plain"),
)


@dataclass(frozen=True)
class FewShotItem:
    """One picture of a class; the scene's `id` names it."""

    scene: Scene  # body, sign and bystander, in this order
    label: int  # index into `FEW_SHOT_CLASSES`
    split: str  # "train", "val" or "test"
    seed: int  # which world
    index: int  # which scene of the split

    @property
    def classname(self) -> str:
        """The name of the class."""
        return FEW_SHOT_CLASSES[self.label].name

    def picture(self, size: int | tuple[int, int] = 64, domain: str | None = None) -> Image.Image:
        """Draw it, as `draw` does; in a style of `domains.DOMAINS` where one is named."""
        picture = draw(self.scene, size)
        return picture if domain is None else shift(picture, domain, self.seed, self.index)


def few_shot_dataset(per_class: int, seed: int = 0, split: str = "train") -> list[FewShotItem]:
    """Return the first `per_class` pictures of every class, class after class; none is drawn yet.

    Splits ("train", "val", "test") share no scene, and a smaller number of pictures is the
    beginning of a larger one.
    """
    classes = len(FEW_SHOT_CLASSES)
    numbers = (k * classes + label for label in range(classes) for k in range(per_class))
    return [few_shot_item(seed, index, split) for index in numbers]


def few_shot_item(seed: int, index: int, split: str = "train") -> FewShotItem:
    """Draw item `index` of `split`; the same arguments give the same item at any time.

    Its class is `index` modulo the number of classes.
    """
    check_split(split)
    rng = generator(seed, split, index, _SCENE)
    label = index % len(FEW_SHOT_CLASSES)
    things = _things(FEW_SHOT_CLASSES[label], rng)
    name = f"world-few-shot-{split}-{seed}-{index:07d}"
    return FewShotItem(Scene(name, things, *draw_setting(rng)), label, split, seed, index)


def _things(one: FewShotClass, rng: np.random.Generator) -> tuple[Thing, ...]:
    colors = COLOR_NAMES if one.body in NOVEL_KINDS else ALLOWED_COLORS[one.body]
    color = one.color or colors[rng.integers(len(colors))]
    texture = one.texture or TEXTURES[rng.integers(len(TEXTURES))]
    others = [other for other in ALLOWED_COLORS[one.sign] if other != color]
    sign_color = others[rng.integers(len(others))]
    kind, kind_color = draw_pair(rng)
    body, sign, bystander = _boxes(one, kind, rng)
    return (
        Thing(one.body, color, "large", texture, body),
        Thing(one.sign, sign_color, "small", "plain", sign),
        Thing(kind, kind_color, "small", draw_texture(rng), bystander),
    )


def _boxes(one: FewShotClass, kind: str, rng: np.random.Generator) -> tuple[UnitBox, ...]:
    """Draw where body and sign of a class are, and a bystander of some kind clear of both."""
    for _ in range(_TRIES):
        side, small = _between(*_BODY, rng), _between(*_BYSTANDER, rng)
        body = thing_box(one.body, side, _center(side, rng))
        left, top, right, bottom = body
        corner = left if rng.random() < 0.5 else right
        inward = _INSET * ((left + right) / 2 - corner) * 2
        sign_side = _SIGN * side
        sign_center = (
            _inside(corner + inward, sign_side),
            _inside(top + _INSET * (bottom - top), sign_side),
        )
        sign = thing_box(one.sign, sign_side, sign_center)
        bystander = thing_box(kind, small, _center(small, rng))
        if overlap(bystander, body) == overlap(bystander, sign) == 0:
            return body, sign, bystander
    raise AssertionError("there is always room for a bystander")


def _center(side: float, rng: np.random.Generator) -> tuple[float, float]:
    """Draw the center (x, y) of a square of this side anywhere in the picture."""
    low = _BORDER + side / 2
    return _between(low, 1 - low, rng), _between(low, 1 - low, rng)


def _inside(center: float, side: float) -> float:
    low = _BORDER + side / 2
    return min(max(center, low), 1 - low)


def _between(low: float, high: float, rng: np.random.Generator) -> float:
    return low + (high - low) * rng.random()
