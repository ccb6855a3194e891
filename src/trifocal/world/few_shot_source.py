"""The world's few-shot classes as a source for training: a few pictures a class, each drawn once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from trifocal import config
from trifocal.data.labeled import ClassSample
from trifocal.data.picture_keys import drawn_key
from trifocal.data.section import CroppedSection
from trifocal.world.few_shot import FEW_SHOT_CLASSES, few_shot_dataset

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from trifocal.clip.embeddings import ImageEmbedding

PICTURE_SCALE = 2  # a random crop of such a picture is still about as sharp as a model's input


class WorldFewShot:
    """Pictures of all few-shot classes: `shots` of each, for a model's input of `image_size`.

    `classnames` are the names of the classes.
    """

    def __init__(
        self, shots: int, image_size: tuple[int, int], seed: int = 0, split: str = "train"
    ) -> None:
        self.items = few_shot_dataset(shots, seed, split)
        self.size = (PICTURE_SCALE * image_size[0], PICTURE_SCALE * image_size[1])
        self.classnames = tuple(one.name for one in FEW_SHOT_CLASSES)
        self._drawn: dict[int, Image.Image] = {}  # they are few, and asked for in every epoch

    def __len__(self) -> int:
        return len(self.items)

    def sample(
        self, index: int, rng: np.random.Generator, image: ImageEmbedding | None = None
    ) -> ClassSample:
        """Return picture `index`, which is the same each time, or `image` for it."""
        item = self.items[index]
        shown = self.picture(index) if image is None else image
        return ClassSample(item.scene.id, shown, item.label, self.classnames)

    def picture(self, index: int) -> Image.Image:
        """Draw picture `index`."""
        if index not in self._drawn:
            self._drawn[index] = self.items[index].picture(self.size)
        return self._drawn[index]

    def picture_key(self, index: int) -> bytes:
        """Return what picture `index` is known by on disk."""
        return drawn_key("few-shot", self.size, repr(self.items[index].scene))


@dataclass(frozen=True, kw_only=True)
class WorldFewShotData(CroppedSection):
    """A few pictures of the world's invented classes, as a recipe's data."""

    samples = "classes"

    source: Literal["world-few-shot"] = "world-few-shot"
    shots: int = 16  # pictures of each class to train on
    seed: int = 0  # which pictures are drawn
    split: str | None = None  # the part of the world, by default "train"

    def __post_init__(self) -> None:
        super().__post_init__()
        config.at_least(self, {"shots": 1}, "data")

    def open(self, image_size: tuple[int, int]) -> WorldFewShot:
        """Choose the pictures; each is drawn when it is first asked for."""
        return WorldFewShot(self.shots, image_size, self.seed, self.split or "train")
