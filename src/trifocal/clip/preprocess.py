"""From a photo to the pixels a tower expects, with Pillow alone.

The same arithmetic as the usual pipelines (resize the shortest side with bicubic interpolation,
crop the center, scale, normalize), without needing torchvision. They differ in details, so a
`Preprocess` follows the rules of one library. Pixels stay uint8 until they are on the device:
`Preprocess.__call__` returns uint8, `normalize` makes floats of it.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from trifocal.clip.preprocessor_config import (
    FILE,
    FILTERS,
    OPENAI_MEAN,
    OPENAI_STD,
    RULES,
    STRETCHES,
    read_fields,
)
from trifocal.errors import UserError

__all__ = ["OPENAI_MEAN", "OPENAI_STD", "Preprocess", "draw_crop"]

Interpolation = Literal["nearest", "lanczos", "bilinear", "bicubic", "box", "hamming"]
_SMOOTH_MODES = {"RGB", "L", "RGBA", "CMYK"}  # Pillow interpolates these as they are


@dataclass(frozen=True, repr=False)
class Preprocess:
    """How images are brought to a tower's size and range.

    Attributes:
        size: height and width in pixels of what comes out.
        mean: what is subtracted from each channel, in [0, 1].
        std: what each channel is divided by.
        interpolation: the resizing filter.
        resize: "shortest" keeps the aspect ratio; "squash" resizes to height and width exactly;
            "none" leaves the picture as large as it is.
        resize_size: height and width that are resized to; None for `size`. For "shortest", twice
            the length of the shortest side.
        crop: whether the center of the resized picture is cropped to `size`; where it is not, a
            picture that comes out in another size is refused.
        rules: whose details: of open_clip (transparency is dropped, after resizing; "shortest"
            covers `size`) or of transformers (transparency lies over white, before resizing; a
            crop that is too large is filled up with black). Half pixels of a crop are rounded to
            even for both, as OpenAI's code and open_clip do, with which the published numbers were
            measured; transformers rounds them down, so that its crop of every other picture with
            an odd margin lies one pixel higher or further left.
    """

    size: tuple[int, int] = (224, 224)
    mean: tuple[float, float, float] = OPENAI_MEAN
    std: tuple[float, float, float] = OPENAI_STD
    interpolation: Interpolation = "bicubic"
    resize: Literal["shortest", "squash", "none"] = "shortest"
    resize_size: tuple[int, int] | None = None
    crop: bool = True
    rules: Literal["open_clip", "transformers"] = field(default="open_clip", compare=False)

    def __repr__(self) -> str:
        """Name the first five fields, and others that differ: features are filed under this.

        Not the rules: what they part is transparency, which a picture that is filed no longer has,
        and crops that are filled up, whose sizes are named.
        """
        shown = [each.name for each in fields(self)]
        others = [each for each in fields(self)[5:] if each.name != "rules"]
        changed = [each.name for each in others if getattr(self, each.name) != each.default]
        values = (f"{name}={getattr(self, name)!r}" for name in [*shown[:5], *changed])
        return f"Preprocess({', '.join(values)})"

    def __call__(self, image: Image.Image) -> Tensor:
        """Return the image as (3, H, W) uint8: resized and center-cropped, not normalized.

        Raises:
            UserError: the picture is not of the size that a pipeline without a crop needs.
        """
        image = self._interpolable(image)
        if self.resize != "none":
            rows, columns = size = self.resize_size or self.size
            squash = self.resize == "squash"
            shape = (columns, rows) if squash else self._covering(image.size, size)
            image = image.resize(shape, FILTERS[self.interpolation])
        height, width = self.size
        if not self.crop and image.size != (width, height):
            raise UserError(
                f"a picture comes out as {image.width}x{image.height} pixels, but the tower takes "
                f"{width}x{height}; set do_resize and do_center_crop in its {FILE}, or give "
                "pictures of that size."
            )
        top, left = self._half(image.height - height), self._half(image.width - width)
        return _pixels(image.crop((left, top, left + width, top + height)))

    def train_crop(
        self,
        image: Image.Image,
        rng: np.random.Generator,
        scale: tuple[float, float] = (0.9, 1.0),
        ratio: tuple[float, float] = (3 / 4, 4 / 3),
    ) -> Tensor:
        """Return a random crop of the image, resized: (3, H, W) uint8.

        Args:
            image: the photo.
            rng: where the draws come from.
            scale: bounds of the crop's share of the image's area.
            ratio: bounds of the crop's width over height.
        """
        image = self._interpolable(image)
        top, left, rows, columns = draw_crop(image.height, image.width, rng, scale, ratio)
        height, width = self.size
        image = image.crop((left, top, left + columns, top + rows))
        return _pixels(image.resize((width, height), FILTERS[self.interpolation]))

    def normalize(self, pixels: Tensor) -> Tensor:
        """Return normalized floats of (..., 3, H, W) pixels: uint8, or floats in [0, 1]."""
        mean = torch.tensor(self.mean, device=pixels.device).view(3, 1, 1)
        std = torch.tensor(self.std, device=pixels.device).view(3, 1, 1)
        if pixels.dtype == torch.uint8:
            return pixels.float().div_(255).sub_(mean).div_(std)
        return (pixels - mean.to(pixels.dtype)) / std.to(pixels.dtype)

    def _interpolable(self, image: Image.Image) -> Image.Image:
        """Return the image in a mode that Pillow resizes smoothly (a palette would be nearest)."""
        if self.rules == "transformers":
            return _over_white(image)
        if image.mode in _SMOOTH_MODES:
            return image
        if image.mode == "P" and "transparency" in image.info:
            image = image.convert("RGBA")
        return image.convert("RGB")

    def _covering(self, size: tuple[int, int], target: tuple[int, int]) -> tuple[int, int]:
        """Return the (width, height) to resize to, so that (height, width) `target` fits inside."""
        width, height = size
        target_height, target_width = target
        if target_height == target_width:  # torchvision's rule for one number
            if width <= height:
                return target_width, int(target_width * height / width)
            return int(target_height * width / height), target_height
        ratio = min(height / target_height, width / target_width)  # open_clip's rule for two
        return round(width / ratio), round(height / ratio)

    def _half(self, pixels: int) -> int:
        """Return half of what a crop leaves out; negative where it is filled up."""
        filled = pixels < 0 and self.rules == "transformers"
        return pixels // 2 if filled else round(pixels / 2.0)

    def save(self, folder: Path, *, stretches: bool = False) -> None:
        """Write `preprocessor_config.json` as transformers' CLIP image processor reads it.

        Args:
            folder: Where.
            stretches: The tower is given pictures of another size than its own on purpose.
        """
        height, width = self.resize_size or self.size
        squash = self.resize == "squash"
        content = {
            "image_processor_type": "CLIPImageProcessor",
            "do_resize": self.resize != "none",
            "size": {"height": height, "width": width}
            if squash
            else {"shortest_edge": min(height, width)},
            "resample": int(FILTERS[self.interpolation]),
            "do_center_crop": self.crop and not (squash and self.resize_size is None),
            "crop_size": {"height": self.size[0], "width": self.size[1]},
            "do_rescale": True,
            "rescale_factor": 1 / 255,
            "do_normalize": True,
            "image_mean": list(self.mean),
            "image_std": list(self.std),
            "do_convert_rgb": True,
        }
        if self.rules != "transformers":
            content[RULES] = self.rules
        if stretches:
            content[STRETCHES] = True
        (folder / FILE).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def from_dict(cls, content: dict[str, Any], image_size: int = 224) -> Preprocess:
        """Read the content of a transformers image-processor file.

        Args:
            content: The table.
            image_size: The tower's, for a file that changes no picture's size.

        Raises:
            UserError: a field is unknown, or asks for something that is not done here.
        """
        return cls(**read_fields(content, image_size))


def draw_crop(
    height: int,
    width: int,
    rng: np.random.Generator,
    scale: tuple[float, float],
    ratio: tuple[float, float],
) -> tuple[int, int, int, int]:
    """Draw a random crop (top, left, height, width) by the usual inception-style rule.

    Ten attempts at an area share drawn evenly and an aspect ratio drawn evenly in its logarithm;
    if none fits, the largest centered crop whose aspect ratio is allowed.
    """
    low, high = math.log(ratio[0]), math.log(ratio[1])
    for _ in range(10):
        area = height * width * rng.uniform(*scale)
        aspect = math.exp(rng.uniform(low, high))
        columns = round(math.sqrt(area * aspect))
        rows = round(math.sqrt(area / aspect))
        if 0 < columns <= width and 0 < rows <= height:
            top = int(rng.integers(height - rows + 1))
            left = int(rng.integers(width - columns + 1))
            return top, left, rows, columns
    rows, columns = height, width
    if width / height < ratio[0]:
        rows = max(1, round(width / ratio[0]))
    elif width / height > ratio[1]:
        columns = max(1, round(height * ratio[1]))
    return (height - rows) // 2, (width - columns) // 2, rows, columns


def _over_white(image: Image.Image) -> Image.Image:
    """Return the image as RGB, what is transparent in it as white."""
    if "A" in image.getbands() or image.info.get("transparency") is not None:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")


def _pixels(image: Image.Image) -> Tensor:
    """Return an image as a (3, H, W) uint8 tensor."""
    array = np.asarray(image.convert("RGB"))
    return torch.from_numpy(np.array(array.transpose(2, 0, 1), order="C"))  # ours to write to
