"""Training augmentation of the two slots of a regional prompt.

A flip, then RandAugment (Cubuk et al., 2020) with the operations and magnitudes that RCA used
(arXiv 2303.10428). The published code draws for the region and the context apart; by default only
the flip is shared here, so that the two agree on what is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from trifocal.errors import UserError, nearest

Share = Literal["none", "flip", "all"]
Enhance = Literal["range", "published"]

OPERATIONS = (
    "identity", "auto_contrast", "brightness", "sharpness", "equalize", "shear_x", "shear_y",
    "translate_x", "translate_y", "rotate",
)  # fmt: skip
_LEVELS = 10
_SHEAR, _SHIFT, _TURN = 0.3, 10.0, 30.0  # at the highest level: share, pixels, degrees
_GRAY = (128, 128, 128)

Step = tuple[str, float]


@dataclass(frozen=True)
class Augmentation:
    """What is done to the slots of a training prompt, drawn anew for each sample."""

    flip: float = 0.5  # chance of a horizontal flip. Use 0 where texts say left and right
    operations: int = 2  # how many operations are drawn, with replacement; 0 for none
    # Strength of a geometric operation, 0 to 10: at 5, a shear of 0.15, a shift of 5 pixels, a turn
    # of 15 degrees, each to either side.
    level: float = 5
    probability: float = 0.5  # chance that a drawn operation is applied
    # Factor of brightness and sharpness: drawn from [0.5, 1.5], or the published function of the
    # level, which is 1 (no change) at level 5.
    enhance: Enhance = "range"
    # What region and context have in common: nothing (as published), the flip, or all.
    share: Share = "flip"

    def __post_init__(self) -> None:
        for name in ("flip", "probability"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(
                    f"the augmentation's {name} is {getattr(self, name)}; give a chance from 0 to 1."
                )
        if self.operations < 0:
            raise UserError(f"the augmentation draws {self.operations} operations; give 0 or more.")
        if not 0 <= self.level <= _LEVELS:
            raise UserError(
                f"the augmentation's level is {self.level}; give a number from 0 to {_LEVELS}."
            )
        for name, kind in (("enhance", Enhance), ("share", Share)):
            value, known = getattr(self, name), get_args(kind)
            if value not in known:
                raise UserError(
                    f"the augmentation's {name} is {value!r}; choose from {', '.join(known)}."
                    f"{nearest(str(value), known)}"
                )

    @property
    def off(self) -> bool:
        """Whether pictures are left as they are."""
        return self.flip == 0 and (self.operations == 0 or self.probability == 0)

    def __call__(
        self, pictures: Sequence[Image.Image], rng: np.random.Generator
    ) -> list[Image.Image]:
        """Return the RGB pictures of one sample, augmented; nothing is drawn where it is off."""
        if self.off:
            return list(pictures)
        made: list[Image.Image] = []
        flip, steps = False, []
        for i, picture in enumerate(pictures):
            if i == 0 or self.share == "none":
                flip = rng.random() < self.flip
            if i == 0 or self.share != "all":
                steps = self._drawn(rng)
            if flip:
                picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            for name, magnitude in steps:
                picture = apply(picture, name, magnitude)
            made.append(picture)
        return made

    def _drawn(self, rng: np.random.Generator) -> list[Step]:
        steps = []
        for index in rng.integers(len(OPERATIONS), size=self.operations):
            if rng.random() < self.probability:
                steps.append((OPERATIONS[index], self._magnitude(OPERATIONS[index], rng)))
        return steps

    def _magnitude(self, name: str, rng: np.random.Generator) -> float:
        share = self.level / _LEVELS
        if name in ("brightness", "sharpness"):
            return rng.uniform(0.5, 1.5) if self.enhance == "range" else share * 1.8 + 0.1
        most = _SHEAR if name.startswith("shear") else _TURN if name == "rotate" else _SHIFT
        return share * most * (1 if rng.random() < 0.5 else -1)


OFF = Augmentation(flip=0, operations=0)


def apply(image: Image.Image, name: str, magnitude: float) -> Image.Image:
    """Return an RGB picture after one of `OPERATIONS`; what comes into view is gray."""
    match name:
        case "identity":
            return image
        case "auto_contrast":
            return ImageOps.autocontrast(image)
        case "equalize":
            return ImageOps.equalize(image)
        case "brightness":
            return ImageEnhance.Brightness(image).enhance(magnitude)
        case "sharpness":
            return ImageEnhance.Sharpness(image).enhance(magnitude)
        case "rotate":
            return image.rotate(magnitude, Image.Resampling.BILINEAR, fillcolor=_GRAY)
        case "shear_x":
            return _affine(image, (1, magnitude, 0, 0, 1, 0))
        case "shear_y":
            return _affine(image, (1, 0, 0, magnitude, 1, 0))
        case "translate_x":
            return _affine(image, (1, 0, magnitude, 0, 1, 0))
        case "translate_y":
            return _affine(image, (1, 0, 0, 0, 1, magnitude))
        case _:
            raise ValueError(f"unknown operation {name!r}")


def _affine(image: Image.Image, data: tuple[float, ...]) -> Image.Image:
    """Return the picture whose pixel (x, y) is the given one's at (ax + by + c, dx + ey + f)."""
    return image.transform(
        image.size, Image.Transform.AFFINE, data, Image.Resampling.BILINEAR, fillcolor=_GRAY
    )
