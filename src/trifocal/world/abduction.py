"""Abduction in the form of Sherlock: a region, what it shows, and what follows from it here.

The task is Sherlock's (Hessel et al., ECCV 2022). A scene holds one sign and two or three actors
(`occasions`), no two of a kind; the sign is large, the actors are not. Every actor is a region, and
what it means is decided by its kind and the sign's: what the region shows leaves four
explanations, the whole picture without the region two or three. Looks, layout and background have
no part in it.

Scenes come in blocks of 20 in which each of the 48 meanings occurs exactly once, so that a
block is a fold of a retrieval test and no meaning is likelier than another.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from PIL import Image

from trifocal.data.regions import Region, RegionItem, RegionSample
from trifocal.world.boxes import UnitBox, pixel_box, proposals
from trifocal.world.captions import mention
from trifocal.world.occasions import ACTORS, SIGNS, inference_wordings
from trifocal.world.region_source import DrawnRegionData, RegionSource, check_split
from trifocal.world.scene import Scene, draw_setting, generator, place_things
from trifocal.world.vocabulary import ALLOWED_COLORS

_BLOCK, _SCENE, _WORDING, _PROPOSALS = 200, 201, 202, 203  # purposes of draws
_GROUPS = (3, 3, 2, 2, 2)  # how a block shares out the actors of a sign among scenes
_ACTOR_SIZES = ("small", "medium")
BLOCK_SCENES = len(SIGNS) * len(_GROUPS)


@dataclass(frozen=True)
class Instance:
    """A region of a scene: which thing it is, and what follows from it beside which sign."""

    thing: int
    actor: str
    sign: str

    @property
    def meaning(self) -> tuple[str, str]:
        """Actor and sign: what decides the inference."""
        return self.actor, self.sign

    def inference(self, rng: np.random.Generator) -> str:
        """Draw a wording of what follows."""
        options = inference_wordings(self.actor, self.sign)
        return options[rng.integers(len(options))]


@dataclass(frozen=True)
class AbductionScene:
    """A scene with the thing that is its sign, and with its instances."""

    scene: Scene
    sign: int
    instances: tuple[Instance, ...]

    def clue(self, instance: Instance, rng: np.random.Generator) -> str:
        """Draw words for what the region literally shows, as "a small red boat"."""
        return mention(self.scene, instance.thing, rng).phrase()


@dataclass(frozen=True)
class AbductionItem:
    """A test instance with fixed words."""

    id: str  # scene and thing
    scene: AbductionScene
    instance: Instance  # the region
    fold: int  # number of the retrieval fold; a fold holds no meaning twice
    clue: str  # what the region literally shows
    inference: str  # what follows from it
    # What a detector might propose in the picture, in unit coordinates.
    proposals: tuple[UnitBox, ...]

    @property
    def box(self) -> UnitBox:
        """The region, in unit coordinates."""
        return self.scene.scene.things[self.instance.thing].box

    def region_item(self, picture: Image.Image) -> RegionItem:
        """Return the item for the scene's picture, drawn at any size."""
        return RegionItem(
            self.id,
            Region(picture, (pixel_box(self.box, *picture.size),)),
            self.clue,
            self.inference,
            tuple(pixel_box(box, *picture.size) for box in self.proposals),
        )


def abduction_scene(seed: int, index: int, split: str = "train") -> AbductionScene:
    """Draw scene `index` of `split`; the same arguments give the same scene at any time."""
    check_split(split)
    rng = generator(seed, split, index, _SCENE)
    sign, actors = _block(seed, index // BLOCK_SCENES, split)[index % BLOCK_SCENES]
    kinds = [sign, *actors]
    kinds = [kinds[k] for k in rng.permutation(len(kinds))]
    looks = [(k, ALLOWED_COLORS[k][rng.integers(len(ALLOWED_COLORS[k]))]) for k in kinds]
    sizes = ["large" if kind == sign else _ACTOR_SIZES[rng.integers(2)] for kind in kinds]
    things = place_things(looks, rng, sizes=sizes, spread=0.0)
    name = f"world-abduction-{split}-{seed}-{index:07d}"
    instances = tuple(Instance(k, kind, sign) for k, kind in enumerate(kinds) if kind != sign)
    return AbductionScene(Scene(name, things, *draw_setting(rng)), kinds.index(sign), instances)


@lru_cache(maxsize=256)
def _block(seed: int, block: int, split: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return sign and actors of each scene of a block, in random order."""
    rng = generator(seed, split, block, _BLOCK)
    found: list[tuple[str, tuple[str, ...]]] = []
    for sign in SIGNS:
        order = [ACTORS[k] for k in rng.permutation(len(ACTORS))]
        for count in _GROUPS:
            found.append((sign, tuple(order[:count])))
            order = order[count:]
    return tuple(found[k] for k in rng.permutation(len(found)))


def abduction_items(scenes: int, seed: int = 0, split: str = "test") -> list[AbductionItem]:
    """Return all instances of the first `scenes` scenes of a split, with fixed words.

    An instance goes into the first fold that does not hold its meaning yet; after every
    `BLOCK_SCENES` scenes another fold is full, with all 48 meanings.
    """
    items: list[AbductionItem] = []
    folds: Counter[tuple[str, str]] = Counter()
    for index in range(scenes):
        scene = abduction_scene(seed, index, split)
        rng = generator(seed, split, index, _WORDING)
        boxes = [thing.box for thing in scene.scene.things]
        proposed = proposals(boxes, generator(seed, split, index, _PROPOSALS))
        for instance in scene.instances:
            items.append(
                AbductionItem(
                    id=f"{scene.scene.id}-{instance.thing}",
                    scene=scene,
                    instance=instance,
                    fold=folds[instance.meaning],
                    clue=scene.clue(instance, rng),
                    inference=instance.inference(rng),
                    proposals=proposed,
                )
            )
            folds[instance.meaning] += 1
    return items


class WorldAbduction(RegionSource):
    """Abduction samples of the built-in world, for training.

    Nothing is stored: an index decides the scene, the generator which of its actors is the region
    and how clue and inference are worded. Arguments are those of `RegionSource`.
    """

    def scene(self, index: int) -> AbductionScene:
        """Return the scene of an index."""
        self.check_index(index)
        return abduction_scene(self.seed, index, self.split)

    def sample(self, index: int, rng: np.random.Generator) -> RegionSample:
        """Return one instance of scene `index`; the other things' boxes are its proposals."""
        scene = self.scene(index)
        instance = scene.instances[rng.integers(len(scene.instances))]
        clue, inference = scene.clue(instance, rng), instance.inference(rng)
        return self.drawn(scene.scene, instance.thing, clue, inference)


@dataclass(frozen=True, kw_only=True)
class WorldAbductionData(DrawnRegionData):
    """Regions with inferences, as a recipe's data."""

    source: Literal["world-abduction"] = "world-abduction"

    def open(self, image_size: tuple[int, int]) -> WorldAbduction:
        """Choose the scenes; each is drawn when it is asked for."""
        return WorldAbduction(self.split or "train", self.size, image_size, self.seed)
