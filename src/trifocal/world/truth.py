"""Which text concepts are true of a scene: the scene graph answers, not a model.

Explanations name concepts of a picture; on the drawn world the truth of each is known, so that how
often a name is right can be counted.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from trifocal.world.captions import Mention
from trifocal.world.concepts import WORLD_CONCEPTS
from trifocal.world.scene import Scene
from trifocal.world.vocabulary import (
    ALLOWED_COLORS,
    KINDS,
    MARKED_SIZES,
    MARKED_TEXTURES,
    SETTING_PHRASES,
    SPOT_PHRASES,
)


def concept_truth(scene: Scene) -> Tensor:
    """Return (I,) bools: which of `WORLD_CONCEPTS` are true of a scene.

    A place without a weather ("in a room") is true in any weather; a size is the drawn one, so that a
    medium thing is neither small nor large.
    """
    return torch.tensor([_HOLDS[concept](scene) for concept in WORLD_CONCEPTS])


def _mentioned(mention: Mention) -> Callable[[Scene], bool]:
    return lambda scene: any(mention.fits(thing) for thing in scene.things)


def _set(place: str, condition: str | None) -> Callable[[Scene], bool]:
    return lambda scene: scene.place == place and condition in (None, scene.condition)


def _holds() -> dict[str, Callable[[Scene], bool]]:
    mentions = [Mention(kind) for kind in KINDS]
    mentions += [Mention(kind, color=one) for kind in KINDS for one in ALLOWED_COLORS[kind]]
    mentions += [Mention(kind, texture=one) for kind in KINDS for one in MARKED_TEXTURES]
    mentions += [Mention(kind, size=one) for kind in KINDS for one in MARKED_SIZES]
    mentions += [Mention(kind, spot=one) for kind in KINDS for one in SPOT_PHRASES]
    holds = {mention.phrase(): _mentioned(mention) for mention in mentions}
    for (place, condition), phrases in SETTING_PHRASES.items():
        plain = SETTING_PHRASES[place, "day"][0]
        holds |= {each: _set(place, None if each == plain else condition) for each in phrases}
    return holds


_HOLDS = _holds()
