"""What pictures of the world show: learned from drawn pictures whose scene graphs are known."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from trifocal.clip import Clip
from trifocal.concepts.evidence import Evidence
from trifocal.features.embed import encode_images
from trifocal.world import draw, few_shot_dataset, make_scene, to_tensor
from trifocal.world.scene import Scene
from trifocal.world.truth import concept_truth

SCENES, EACH = 2000, 32  # ordinary scenes, and pictures of each few-shot class
_SEED = 1  # a world of its own: no picture that is fitted to or tested on
PRECISION = 0.85  # wanted of names, on pictures that are not learned from


def world_evidence(base: Clip, scenes: int = SCENES, each: int = EACH) -> Evidence:
    """Return which concepts pictures of the world show, learned from others of its train split.

    Ordinary scenes and, in the style of the few-shot classes (a large body with a sign that covers
    part of it), pictures of those. The base alone cannot tell: its words were trained on captions
    of ordinary scenes, and a third of the names it would give are true.
    """
    drawn = [make_scene(_SEED, index, "train") for index in range(scenes)]
    drawn += [item.scene for item in few_shot_dataset(each, _SEED, "train")]
    return Evidence.from_named(embedded(base, drawn), truths(drawn), PRECISION)


def held_out_scenes(base: Clip, count: int = 300) -> tuple[Tensor, Tensor]:
    """Return features (n, d) of ordinary test scenes, and which concepts they show (n, I)."""
    drawn = [make_scene(0, index, "test") for index in range(count)]
    return embedded(base, drawn), truths(drawn)


def embedded(base: Clip, scenes: Sequence[Scene]) -> Tensor:
    """Return (n, d) unit features of scenes as the base sees them."""
    pictures = [to_tensor(draw(scene, base.image_size)) for scene in scenes]
    return encode_images(base, pictures)


def truths(scenes: Sequence[Scene]) -> Tensor:
    """Return (n, I) bools: which concepts of the world scenes show."""
    return torch.stack([concept_truth(scene) for scene in scenes])
