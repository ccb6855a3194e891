"""Zero-shot classification of scenes with one thing: what it is, how it looks, where it is.

Prompts are ensembles in the manner of CLIP (Radford et al., arXiv 2103.00020, §3.1.4): every class
name goes into all templates. Apart from kinds, the templates run through all kinds, so that a
class embedding is the mean over what the color, size or place may belong to.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

from trifocal.errors import UserError, nearest
from trifocal.world.scene import Scene, make_scene
from trifocal.world.vocabulary import (
    COLOR_NAMES,
    KINDS,
    MARKED_SIZES,
    MARKED_TEXTURES,
    PLACES,
    SETTING_PHRASES,
    article,
)


@dataclass(frozen=True)
class ZeroShotItem:
    """One picture and the number of its class."""

    scene: int  # the picture is `make_scene(seed, scene, split, things=1)`
    filename: str
    label: int


@dataclass(frozen=True)
class ZeroShotTask:
    """A classification task; "{c}" in a template stands for the class name."""

    name: str
    seed: int
    split: str
    classnames: tuple[str, ...]
    templates: tuple[str, ...]
    items: tuple[ZeroShotItem, ...]

    def prompts(self, label: int) -> list[str]:
        """Return all prompts of a class, with "a" or "an" as the name needs it."""
        return fill(self.templates, self.classnames[label])

    def scene(self, item: int) -> Scene:
        """Return the scene graph of an item, by its position in `items`."""
        return make_scene(self.seed, self.items[item].scene, self.split, things=1)


def fill(templates: tuple[str, ...], name: str) -> list[str]:
    """Put a class name into templates; "a {c}" becomes "an {c}" where English wants it."""
    return [t.replace("a {c}", article(name)).replace("{c}", name) for t in templates]


@dataclass(frozen=True)
class _Labeling:
    classnames: tuple[str, ...]
    templates: tuple[str, ...]
    label: Callable[[Scene], int | None]  # None leaves a scene out


def _at(values: tuple, value: object) -> int | None:
    return values.index(value) if value in values else None


_PLACE_PHRASES = tuple(SETTING_PHRASES[place, "day"][0] for place in PLACES)
_SETTINGS = tuple(SETTING_PHRASES)
_SETTING_NAMES = tuple(phrases[-1] for phrases in SETTING_PHRASES.values())
_BEFORE = tuple(f"a {{c}} {kind}" for kind in KINDS)  # "a red ball"
_BEHIND = tuple(f"{article(kind)} {{c}}" for kind in KINDS)  # "a ball in a room"

ZERO_SHOT: dict[str, _Labeling] = {
    "kinds": _Labeling(
        KINDS,
        ("a {c}", "a {c}.", "there is a {c}.", "a picture of a {c}", "an image of a {c}."),
        lambda scene: _at(KINDS, scene.things[0].kind),
    ),
    "colors": _Labeling(COLOR_NAMES, _BEFORE, lambda s: _at(COLOR_NAMES, s.things[0].color)),
    "sizes": _Labeling(MARKED_SIZES, _BEFORE, lambda s: _at(MARKED_SIZES, s.things[0].size)),
    "textures": _Labeling(
        MARKED_TEXTURES, _BEFORE, lambda s: _at(MARKED_TEXTURES, s.things[0].texture)
    ),
    "places": _Labeling(_PLACE_PHRASES, _BEHIND, lambda s: _at(PLACES, s.place)),
    "settings": _Labeling(
        _SETTING_NAMES, _BEHIND, lambda s: _at(_SETTINGS, (s.place, s.condition))
    ),
}


def zero_shot_task(name: str, count: int, seed: int = 0, split: str = "test") -> ZeroShotTask:
    """Draw the first `count` pictures of a classification task; classes come about equally often.

    Tasks are "kinds" (32 classes), "colors" (12), "sizes" and "textures" (2), "places" (4) and
    "settings" (16).
    """
    if name not in ZERO_SHOT:
        known = ", ".join(ZERO_SHOT)
        raise UserError(
            f"There is no zero-shot task {name!r}: choose one of {known}.{nearest(name, ZERO_SHOT)}"
        )
    labeling = ZERO_SHOT[name]
    scenes = ((index, make_scene(seed, index, split, things=1)) for index in itertools.count())
    fitting = (
        ZeroShotItem(index, f"{scene.id}.png", label)
        for index, scene in scenes
        if (label := labeling.label(scene)) is not None
    )
    items = tuple(itertools.islice(fitting, max(0, count)))
    return ZeroShotTask(name, seed, split, labeling.classnames, labeling.templates, items)
