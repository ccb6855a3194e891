"""The world as a source of training samples: pictures with captions, drawn when asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from PIL import Image

from trifocal import config
from trifocal.data.picture_keys import drawn_key
from trifocal.data.samples import Sample
from trifocal.data.section import CaptionedSection
from trifocal.errors import UserError
from trifocal.world.captions import HABITS, caption
from trifocal.world.draw import draw
from trifocal.world.scene import SPLITS, Scene, generator, make_scene

if TYPE_CHECKING:
    from trifocal.clip.embeddings import ImageEmbedding

_SINGLE = 11  # the purpose of the draw that decides whether a scene shows one thing


@dataclass
class WorldCaptions:
    """Caption samples of the built-in world; see `WorldData` for the arguments.

    Nothing is stored: the picture of an index is fixed by (seed, split, index), the wording of
    its caption is drawn anew each time.
    """

    split: str = "train"
    size: int = 100_000
    image_size: int | tuple[int, int] = 64  # picture side in pixels, or (height, width)
    seed: int = 0
    single_share: float = 0.5
    things: int | None = None
    wording: str = "curated"
    kinds: int | None = None
    relation: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.single_share <= 1:
            raise UserError(f"single_share is a share from 0 to 1, not {self.single_share}.")
        if self.size < 1:
            raise UserError(f"A source needs at least one scene, not {self.size}.")
        for name, value, table in (
            ("split", self.split, SPLITS),
            ("wording", self.wording, HABITS),
        ):
            if value not in table:
                known = ", ".join(table)
                raise UserError(f"The world has no {name} {value!r}: choose one of {known}.")
        self.habits = HABITS[self.wording]
        if self.relation is not None:
            self.habits = replace(self.habits, relation=self.relation)

    def __len__(self) -> int:
        return self.size

    def scene(self, index: int) -> Scene:
        """Return the scene graph of an index."""
        if not 0 <= index < self.size:
            raise IndexError(index)
        draw_single = generator(self.seed, self.split, index, _SINGLE).random()
        things = 1 if draw_single < self.single_share else self.things
        return make_scene(self.seed, index, self.split, things, self.kinds)

    def caption(self, index: int, rng: np.random.Generator) -> str:
        """Return the caption that `sample` draws with the same generator, without the picture."""
        return caption(self.scene(index), rng, self.habits)

    def sample(
        self, index: int, rng: np.random.Generator, image: ImageEmbedding | None = None
    ) -> Sample:
        """Return the picture of an index, or `image` for it, with a newly worded caption."""
        scene = self.scene(index)
        text = caption(scene, rng, self.habits)
        shown = self._drawn(scene) if image is None else image
        return Sample(id=scene.id, image=shown, caption=text)

    def picture(self, index: int) -> torch.Tensor:
        """Draw the picture (3, H, W), uint8, of an index."""
        return self._drawn(self.scene(index))

    def picture_key(self, index: int) -> bytes:
        """Return what the picture of an index is known by on disk."""
        scenes = (self.seed, self.split, self.single_share, self.things, self.kinds)
        return drawn_key("world", self.image_size, *scenes, index)

    def _drawn(self, scene: Scene) -> torch.Tensor:
        return to_tensor(draw(scene, self.image_size))


@dataclass(frozen=True, kw_only=True)
class WorldData(CaptionedSection):
    """Captioned scenes of the world, as a recipe's data."""

    source: Literal["world"] = "world"
    split: str | None = None  # the part of the world, by default "train"
    size: int = 20_000  # the number of scenes
    seed: int = 0  # which scenes are drawn
    single_share: float = 0.5  # the share of the scenes that show one thing only
    things: int | None = None  # how many things the others show; by default two to four
    # How captions are written: "curated" ones relate things to each other, those of the "web" name
    # a thing or two, a "list" goes through the picture in the order of reading.
    wording: Literal["curated", "web", "list"] = "curated"
    # Narrower than the world: scenes of its first so many kinds alone (null for all 24), and the
    # share of captions that relate things to each other (null for the wording's own).
    kinds: int | None = None
    relation: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        config.at_least(self, {"size": 1, "kinds": 1, "relation": 0}, "data")

    def open(self, image_size: tuple[int, int]) -> WorldCaptions:
        """Choose the scenes; each is drawn when it is asked for."""
        return WorldCaptions(
            self.split or "train",
            self.size,
            image_size,
            self.seed,
            self.single_share,
            self.things,
            self.wording,
            self.kinds,
            self.relation,
        )


def to_tensor(image: Image.Image) -> torch.Tensor:
    """Return an RGB picture as (3, H, W) uint8, values unchanged."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()
