"""From a photo to the pixels a tower expects, with Pillow alone.

The same arithmetic as the usual torchvision pipeline (resize the shortest side with bicubic
interpolation, crop the center, scale, normalize), without needing torchvision. Pixels stay uint8
until they are on the device: `Preprocess.__call__` returns uint8, `normalize` makes floats of it.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from trifocal.errors import UserError

OPENAI_MEAN = (0.48145466, 0.4578275, 0.40821073)
OPENAI_STD = (0.26862954, 0.26130258, 0.27577711)

_FILTERS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}
_SMOOTH_MODES = {"RGB", "L", "RGBA", "CMYK"}  # Pillow interpolates these as they are


@dataclass(frozen=True)
class Preprocess:
    """How images are brought to a tower's size and range.

    Attributes:
        size: height and width in pixels.
        mean: what is subtracted from each channel, in [0, 1].
        std: what each channel is divided by.
        interpolation: the resizing filter.
        resize: "shortest" covers `size`, keeping the aspect ratio, and crops the center; "squash"
            resizes to `size` exactly.
    """

    size: tuple[int, int] = (224, 224)
    mean: tuple[float, float, float] = OPENAI_MEAN
    std: tuple[float, float, float] = OPENAI_STD
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"
    resize: Literal["shortest", "squash"] = "shortest"

    def __call__(self, image: Image.Image) -> Tensor:
        """Return the image as (3, H, W) uint8: resized and center-cropped, not normalized."""
        image = _interpolable(image)
        height, width = self.size
        if self.resize == "squash":
            image = image.resize((width, height), _FILTERS[self.interpolation])
            return _pixels(image)
        image = image.resize(self._covering_size(image.size), _FILTERS[self.interpolation])
        top = round((image.height - height) / 2.0)
        left = round((image.width - width) / 2.0)
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
        image = _interpolable(image)
        top, left, rows, columns = draw_crop(image.height, image.width, rng, scale, ratio)
        height, width = self.size
        image = image.crop((left, top, left + columns, top + rows))
        return _pixels(image.resize((width, height), _FILTERS[self.interpolation]))

    def normalize(self, pixels: Tensor) -> Tensor:
        """Return normalized floats of (..., 3, H, W) pixels: uint8, or floats in [0, 1]."""
        mean = torch.tensor(self.mean, device=pixels.device).view(3, 1, 1)
        std = torch.tensor(self.std, device=pixels.device).view(3, 1, 1)
        if pixels.dtype == torch.uint8:
            return pixels.float().div_(255).sub_(mean).div_(std)
        return (pixels - mean.to(pixels.dtype)) / std.to(pixels.dtype)

    def _covering_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return the (width, height) to resize to, so that `self.size` fits inside."""
        width, height = size
        target_height, target_width = self.size
        if target_height == target_width:  # torchvision's rule for one number
            if width <= height:
                return target_width, int(target_width * height / width)
            return int(target_height * width / height), target_height
        ratio = min(height / target_height, width / target_width)  # open_clip's rule for two
        return round(width / ratio), round(height / ratio)

    def save(self, folder: Path) -> None:
        """Write `preprocessor_config.json` as transformers' CLIP image processor reads it."""
        height, width = self.size
        squash = self.resize == "squash"
        content = {
            "image_processor_type": "CLIPImageProcessor",
            "do_resize": True,
            "size": {"height": height, "width": width}
            if squash
            else {"shortest_edge": min(height, width)},
            "resample": int(_FILTERS[self.interpolation]),
            "do_center_crop": not squash,
            "crop_size": {"height": height, "width": width},
            "do_rescale": True,
            "rescale_factor": 1 / 255,
            "do_normalize": True,
            "image_mean": list(self.mean),
            "image_std": list(self.std),
            "do_convert_rgb": True,
        }
        text = json.dumps(content, indent=2)
        (folder / "preprocessor_config.json").write_text(text + "\n", encoding="utf-8")

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Preprocess:
        """Read the content of a transformers image-processor file.

        Raises:
            UserError: it asks for something this class does not do.
        """
        size = content.get("size", 224)
        squash = not content.get("do_center_crop", True)
        shape = _pair(size if squash else content.get("crop_size", size))
        edge = size.get("shortest_edge") if isinstance(size, dict) else size
        if not squash and edge is not None and edge != min(shape):
            raise UserError(
                f"preprocessor_config.json resizes the shortest side to {edge} and crops "
                f"{shape[0]}x{shape[1]}; the two must agree, so set both to the tower's size."
            )
        names = {int(value): name for name, value in _FILTERS.items()}
        resample = content.get("resample", 3)
        if resample not in names:
            raise UserError(
                f"preprocessor_config.json asks for resample {resample}; "
                "use 3 (bicubic) or 2 (bilinear)."
            )
        return cls(
            size=shape,
            mean=tuple(content.get("image_mean", OPENAI_MEAN)),
            std=tuple(content.get("image_std", OPENAI_STD)),
            interpolation=names[resample],  # type: ignore[arg-type]
            resize="squash" if squash else "shortest",
        )


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


def _interpolable(image: Image.Image) -> Image.Image:
    """Return the image in a mode that Pillow resizes smoothly (a palette would be nearest)."""
    if image.mode in _SMOOTH_MODES:
        return image
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return image.convert("RGB")


def _pixels(image: Image.Image) -> Tensor:
    """Return an image as a (3, H, W) uint8 tensor."""
    array = np.asarray(image.convert("RGB"))
    return torch.from_numpy(np.ascontiguousarray(array.transpose(2, 0, 1)))


def _pair(size: int | dict[str, int]) -> tuple[int, int]:
    """Return (height, width) of any of the forms transformers has used for a size."""
    if isinstance(size, int):
        return size, size
    if "height" in size:
        return size["height"], size["width"]
    return size["shortest_edge"], size["shortest_edge"]
