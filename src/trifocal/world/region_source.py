"""What the two sources of regions share: pictures large enough to cut regions out of."""

from __future__ import annotations

from dataclasses import dataclass

from trifocal import config
from trifocal.data.regions import RegionSample
from trifocal.data.section import DataSection
from trifocal.errors import UserError
from trifocal.world.boxes import pixel_box
from trifocal.world.draw import draw
from trifocal.world.scene import SPLITS, Scene

# A region is magnified to fill a model's input, so pictures are larger than that. Three times
# is enough for the smallest thing, and drawn fast.
PICTURE_SCALE = 3


@dataclass(frozen=True, kw_only=True)
class DrawnRegionData(DataSection):
    """What a recipe says of drawn regions."""

    samples = "regions"

    split: str | None = None  # "train", "val" or "test"; by default "train"
    size: int = 20_000  # the number of scenes
    seed: int = 0  # which scenes are drawn

    def __post_init__(self) -> None:
        super().__post_init__()
        config.at_least(self, {"size": 1}, "data")


class RegionSource:
    """What a training source of drawn regions is told; see `DrawnRegionData`.

    Pictures have sides of `picture_size`, by default `PICTURE_SCALE` times that of a model's input.
    """

    def __init__(
        self,
        split: str = "train",
        size: int = 100_000,
        image_size: int | tuple[int, int] = 48,
        seed: int = 0,
        picture_size: int | None = None,
    ) -> None:
        check_split(split)
        if size < 1:
            raise UserError(f"A source needs at least one scene, not {size}.")
        side = image_size if isinstance(image_size, int) else min(image_size)
        self.split, self.size, self.seed = split, size, seed
        self.picture_size = picture_size or PICTURE_SCALE * side

    def __len__(self) -> int:
        return self.size

    def check_index(self, index: int) -> None:
        """Raise an IndexError where there is no such scene."""
        if not 0 <= index < self.size:
            raise IndexError(index)

    def drawn(self, scene: Scene, thing: int, clue: str, inference: str) -> RegionSample:
        """Draw a scene as a sample whose region is one thing; the others are proposals."""
        picture = draw(scene, self.picture_size)
        boxes = [pixel_box(each.box, *picture.size) for each in scene.things]
        return RegionSample(
            id=f"{scene.id}-{thing}",
            image=picture,
            boxes=(boxes[thing],),
            clue=clue,
            inference=inference,
            proposals=tuple(box for k, box in enumerate(boxes) if k != thing),
        )


def check_split(split: str) -> None:
    """Raise a UserError for what is no split, or none of regions."""
    known = [name for name in SPLITS if name != "novel"]
    if split not in known:
        raise UserError(f"Drawn regions have no split {split!r}: choose one of {', '.join(known)}.")
