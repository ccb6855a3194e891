"""Referring expressions in the form of RefCOCO: words that single out one thing of a picture.

The task is that of Kazemzadeh et al. (ReferItGame, EMNLP 2014) and of RefCOCO (Yu et al., ECCV
2016). An expression names a kind and what tells the target from the others of it: color, size,
place in the picture, or relation to another thing.

A scene shows two kinds twice, or one kind three times, and every one of its things can be singled
out in the scene's way of referring. The target is any of them, equally likely, so the picture
alone says nothing about it; nor does one word: colors and sizes are crossed with kinds.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np
from PIL import Image

from trifocal.data.regions import Region, RegionItem, RegionSample
from trifocal.world.boxes import UnitBox, pixel_box, proposals
from trifocal.world.captions import Mention
from trifocal.world.region_source import DrawnRegionData, RegionSource, check_split
from trifocal.world.scene import Scene, draw_setting, generator, place_things
from trifocal.world.vocabulary import (
    ALLOWED_COLORS,
    COLOR_NAMES,
    KINDS,
    MARKED_SIZES,
    RELATION_PHRASES,
    SPOT_PHRASES,
    article,
)

WAYS: tuple[str, ...] = ("color", "size", "spot", "relation")
_SCENE, _WORDING, _PROPOSALS = 210, 211, 212  # purposes of draws
_SENTENCES = 3  # of a test item
_SIZE_WORDS = {"small": ("small", "little"), "large": ("large", "big")}
_BESIDE = {"left": ("left of", "to the left of"), "right": ("right of", "to the right of")}


@dataclass(frozen=True)
class Expression:
    """What singles out a thing: its kind and one further property."""

    kind: str
    color: str | None = None
    size: str | None = None  # "small" or "large"
    spots: tuple[str, ...] = ()  # where in the picture it is: one side, or two for a corner
    relation: str | None = None  # how it stands to `other`
    other: Mention | None = None  # another thing, as the expression names it


@dataclass(frozen=True)
class ReferringScene:
    """A scene, a way of referring, and for each thing the expressions that mean it alone."""

    scene: Scene
    way: str
    expressions: tuple[tuple[Expression, ...], ...]


@dataclass(frozen=True)
class ReferringItem:
    """A test expression with fixed words."""

    id: str  # scene and thing
    scene: ReferringScene
    thing: int  # the target
    expression: Expression  # what singles it out
    sentences: tuple[str, ...]  # three wordings of that
    # What a detector might propose in the picture, in unit coordinates.
    proposals: tuple[UnitBox, ...]

    @property
    def box(self) -> UnitBox:
        """The target, in unit coordinates."""
        return self.scene.scene.things[self.thing].box

    def region_item(self, picture: Image.Image, *, detected: bool = False) -> RegionItem:
        """Return the item for the scene's picture, drawn at any size.

        Its proposals are the boxes of all things, or those `detected`.
        """
        things = tuple(thing.box for thing in self.scene.scene.things)
        return RegionItem(
            self.id,
            Region(picture, (pixel_box(self.box, *picture.size),)),
            article(self.expression.kind),
            self.sentences[0],
            tuple(pixel_box(b, *picture.size) for b in (self.proposals if detected else things)),
        )


def refers(expression: Expression, scene: Scene) -> frozenset[int]:
    """Return the things of a scene that an expression is true of."""
    found = set()
    for i, thing in enumerate(scene.things):
        fits = Mention(expression.kind, expression.color, expression.size).fits(thing)
        fits = fits and set(expression.spots) <= set(thing.spots)
        if fits and expression.other is not None:
            fits = any(
                expression.other.fits(other) and scene.relation(i, j) == expression.relation
                for j, other in enumerate(scene.things)
                if j != i
            )
        if fits:
            found.add(i)
    return frozenset(found)


def expression_wordings(expression: Expression, scene: Scene) -> tuple[str, ...]:
    """Return the ways to word an expression; the scene decides between "the" and "a" other."""
    kind = expression.kind
    if expression.other is not None and expression.relation is not None:
        other = _other(expression.other, kind, scene)
        phrases = _BESIDE.get(expression.relation) or RELATION_PHRASES[expression.relation]
        heads = (f"the {kind}", f"the {kind} that is")
        return tuple(f"{head} {phrase} {other}" for head, phrase in product(heads, phrases))
    if len(expression.spots) == 2:
        side, level = expression.spots  # as `Thing.spots` has them: across, then down
        corner = f"{level} {side}"
        return (
            f"the {kind} at the {corner}",
            f"the {corner} {kind}",
            f"the {kind} in the {corner} corner",
        )
    if expression.spots:
        (spot,) = expression.spots
        where = SPOT_PHRASES[spot]
        return f"the {kind} {where}", f"the {kind} that is {where}", f"the {spot} {kind}"
    if expression.size is not None:
        words = _SIZE_WORDS[expression.size]
    else:
        words = () if expression.color is None else (expression.color,)
    forms = ("the {word} {kind}", "the {kind} that is {word}", "the one {kind} that is {word}")
    return tuple(form.format(word=word, kind=kind) for form, word in product(forms, words))


def _other(other: Mention, kind: str, scene: Scene) -> str:
    if other.color is None and other.kind == kind:
        return (
            f"the other {kind}" if len(refers(Expression(kind), scene)) == 2 else f"another {kind}"
        )
    phrase = other.phrase()
    if len(refers(Expression(other.kind, other.color), scene)) > 1:
        return phrase
    return f"the {phrase.split(' ', 1)[1]}"


def _expressions(scene: Scene, thing: int, way: str) -> tuple[Expression, ...]:
    """Return the expressions of one way that mean this thing and no other."""
    target = scene.things[thing]
    kind = target.kind
    if way == "color":
        options = [Expression(kind, color=target.color)]
    elif way == "size":
        options = [Expression(kind, size=size) for size in MARKED_SIZES]
    elif way == "spot":
        options = [Expression(kind, spots=(spot,)) for spot in target.spots]
        if len(target.spots) == 2:
            options.append(Expression(kind, spots=target.spots))
    else:
        options = [
            Expression(kind, relation=relation, other=Mention(other.kind, color))
            for j, other in enumerate(scene.things)
            if (relation := scene.relation(thing, j)) is not None
            for color in (None, other.color)
            # "The other one" needs no color, where there are two.
            if color is None or other.kind != kind or len(scene.things) == 3
        ]
    return tuple(option for option in options if refers(option, scene) == {thing})


def referring_scene(seed: int, index: int, split: str = "train") -> ReferringScene:
    """Draw scene `index` of `split`; the same arguments give the same scene at any time.

    Ways of referring take turns.
    """
    check_split(split)
    rng = generator(seed, split, index, _SCENE)
    way = WAYS[index % len(WAYS)]
    while True:
        looks, sizes = _cast(way, rng)
        things = place_things(looks, rng, sizes=sizes, spread=0.0)
        name = f"world-referring-{split}-{seed}-{index:07d}"
        scene = Scene(name, things, *draw_setting(rng))
        found = tuple(_expressions(scene, k, way) for k in range(len(things)))
        if all(found):
            return ReferringScene(scene, way, found)


def _cast(way: str, rng: np.random.Generator) -> tuple[list[tuple[str, str]], list[str] | None]:
    """Draw kinds and colors of the things of a scene, and their sizes where these matter.

    What a way of referring does not name tells things of a kind apart as little as possible.
    """
    pairs = way == "size" or rng.random() < 0.5
    kinds = [KINDS[k] for k in rng.permutation(len(KINDS))[: 2 if pairs else 1]]
    shared = [c for c in COLOR_NAMES if all(c in ALLOWED_COLORS[kind] for kind in kinds)]
    colors = [shared[k] for k in rng.permutation(len(shared))[: 2 if pairs else 3]]
    if way in ("color", "relation"):
        looks = list(product(kinds, colors))
    else:
        looks = [
            (kind, color) for kind, color in zip(kinds, colors) for _ in range(2 if pairs else 3)
        ]
    sizes = [*MARKED_SIZES, *MARKED_SIZES] if way == "size" else None
    order = rng.permutation(len(looks))
    return [looks[k] for k in order], None if sizes is None else [sizes[k] for k in order]


def referring_items(scenes: int, seed: int = 0, split: str = "test") -> list[ReferringItem]:
    """Return an expression for every thing of the first `scenes` scenes of a split."""
    items: list[ReferringItem] = []
    for index in range(scenes):
        scene = referring_scene(seed, index, split)
        rng = generator(seed, split, index, _WORDING)
        boxes = [thing.box for thing in scene.scene.things]
        proposed = proposals(boxes, generator(seed, split, index, _PROPOSALS))
        for thing, options in enumerate(scene.expressions):
            expression = options[rng.integers(len(options))]
            texts = expression_wordings(expression, scene.scene)
            chosen = rng.permutation(len(texts))[:_SENTENCES]
            items.append(
                ReferringItem(
                    id=f"{scene.scene.id}-{thing}",
                    scene=scene,
                    thing=thing,
                    expression=expression,
                    sentences=tuple(texts[k] for k in chosen),
                    proposals=proposed,
                )
            )
    return items


class WorldReferring(RegionSource):
    """Referring expressions of the built-in world, for training.

    Nothing is stored: an index decides the scene, the generator which thing is meant, by which
    expression and in which words. The clue is the thing's kind. Left and right are meant as the
    picture has them: do not flip it. Arguments are those of `RegionSource`.
    """

    def scene(self, index: int) -> ReferringScene:
        """Return the scene of an index."""
        self.check_index(index)
        return referring_scene(self.seed, index, self.split)

    def sample(self, index: int, rng: np.random.Generator) -> RegionSample:
        """Return one thing of scene `index`; the other things' boxes are its proposals."""
        scene = self.scene(index)
        thing = int(rng.integers(len(scene.expressions)))
        options = scene.expressions[thing]
        expression = options[rng.integers(len(options))]
        texts = expression_wordings(expression, scene.scene)
        text = texts[rng.integers(len(texts))]
        return self.drawn(scene.scene, thing, article(expression.kind), text)


@dataclass(frozen=True, kw_only=True)
class WorldReferringData(DrawnRegionData):
    """Regions with referring expressions, as a recipe's data."""

    source: Literal["world-referring"] = "world-referring"

    def open(self, image_size: tuple[int, int]) -> WorldReferring:
        """Choose the scenes; each is drawn when it is asked for."""
        return WorldReferring(self.split or "train", self.size, image_size, self.seed)
