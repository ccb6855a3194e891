"""The world's few-shot classes as a source for training: a few pictures a class, each drawn once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from trifocal import config
from trifocal.data.labeled import ClassSample
from trifocal.data.section import CroppedSection
from trifocal.world.few_shot import FEW_SHOT_CLASSES, few_shot_dataset

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

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

    def sample(self, index: int, rng: np.random.Generator) -> ClassSample:
        """Return picture `index`, which is the same each time."""
        item = self.items[index]
        if index not in self._drawn:
            self._drawn[index] = item.picture(self.size)
        return ClassSample(item.scene.id, self._drawn[index], item.label, self.classnames)


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
