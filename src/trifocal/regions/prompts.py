"""Regional prompts: what a tower is shown of a region and of the picture around it.

The construction is RCA's Regional Prompt Generator (Zhang et al., ACM MM 2024, arXiv 2303.10428).
It has no parameters: one slot shows the region magnified, the other the whole picture, mostly with
the region marked, and the two are stacked into one input. Boxes are (left, top, width, height) in
pixels of the picture; slots are square, n x n, and do not keep the aspect ratio.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from trifocal.clip.preprocess import Preprocess
from trifocal.data.boxes import clip_box, edges
from trifocal.data.images import to_rgb
from trifocal.data.regions import Box, RegionSample
from trifocal.errors import UserError, nearest
from trifocal.regions.augment import OFF, Augmentation
from trifocal.regions.marking import MARKS

Layout = Literal["stacked", "side_by_side", "separate"]
Order = Literal["region_first", "context_first"]
Choice = Literal["average", "largest", "random"]
Outside = Literal["clip", "pad"]
Part = Literal["crop", "first crop", "whole", "first square", "second square"]


@dataclass(frozen=True)
class Variant:
    """How the two slots of a prompt are made.

    Attributes:
        code: The number in the published code; None for what it does not have.
        region: What the region slot shows. "crop" is the chosen box, "first crop" the first one;
            the first square is flush left (top) in the picture, the second flush right (bottom).
        context: What the context slot shows.
        mark: How the boxes are marked, a name of `MARKS`, before anything but a box is cropped.
        views: For a mixture, the variants it is made of; the other fields are then unused.
    """

    code: int | None
    region: Part = "crop"
    context: Part = "whole"
    mark: str | None = None
    views: tuple[str, ...] = ()


# "mix" is the published method. "plain" shows the whole picture alone, in one slot, as the tower's
# own preprocessing makes it (a center crop).
VARIANTS: dict[str, Variant] = {
    "r-ctx": Variant(101),
    "r-cpt": Variant(102, mark="highlight"),
    "r-cir": Variant(103, mark="ellipse"),
    "r-box": Variant(104, mark="box"),
    "mix": Variant(1001, views=("r-ctx", "r-cpt", "r-cir")),
    "ctx": Variant(0, "second square", "first square"),
    "reg": Variant(1, "crop", "first crop"),
    "cpt": Variant(2, "second square", "first square", "highlight"),
    "cir": Variant(3, "second square", "first square", "ellipse"),
    "box": Variant(4, "second square", "first square", "box"),
    "plain": Variant(None),
}


@dataclass(frozen=True)
class PromptConfig:
    """How a region is shown and described.

    Attributes:
        variant: A name of `VARIANTS`.
        size: Side n of a slot in pixels; None for the tower's own image side.
        layout: "stacked" puts the region on top of the context, "side_by_side" left of it;
            "separate" gives two pictures, to be embedded apart and averaged.
        order: Which slot comes first (top, left).
        boxes: Which box of several the region slot shows at test: each in turn (embeddings are
            averaged), the largest, or a random one (as published, not reproducible).
        outside: A box that leaves the picture is clipped to it, or padded with black as published.
        renormalize: Make averaged embeddings unit again; published localization does not.
        period: End a text with "." where it has none.
        prefix: Begin texts with "clue " and "inference ".
    """

    variant: str = "mix"
    size: int | None = None
    layout: Layout = "stacked"
    order: Order = "region_first"
    boxes: Choice = "average"
    outside: Outside = "clip"
    renormalize: bool = True
    period: bool = True
    prefix: bool = True

    def __post_init__(self) -> None:
        _variant(self.variant)
        if self.size is not None and self.size < 2:
            raise UserError(f"the prompt size is {self.size}; give at least 2 pixels.")
        for name, kind in (
            ("layout", Layout),
            ("order", Order),
            ("boxes", Choice),
            ("outside", Outside),
        ):
            value, known = getattr(self, name), get_args(kind)
            if value not in known:
                raise UserError(
                    f"the prompt's {name} is {value!r}; choose from {', '.join(known)}."
                    f"{nearest(str(value), known)}"
                )


def views(config: PromptConfig) -> tuple[str, ...]:
    """Return the variants whose embeddings are averaged at test: several for a mixture only."""
    return _variant(config.variant).views or (config.variant,)


def picture_size(config: PromptConfig, size: int) -> tuple[int, int]:
    """Return (height, width) of the pictures of a prompt, for a tower of image side `size`."""
    n = config.size or size
    if config.layout == "separate" or config.variant == "plain":
        return n, n
    return (2 * n, n) if config.layout == "stacked" else (n, 2 * n)


def slots(
    image: Image.Image,
    boxes: Sequence[Box],
    view: str,
    size: int,
    *,
    box: int = 0,
    outside: Outside = "clip",
) -> tuple[Image.Image, Image.Image]:
    """Return the (region, context) slots of one view, each `size` x `size` RGB.

    Marks of all boxes are drawn on the picture as it is, before resizing; the region is cropped
    unmarked, from the box of that number. A view is a name of `VARIANTS`, but not "mix" or "plain".

    Raises:
        UserError: the view is unknown, or shows a box where there is none.
    """
    variant = _variant(view)
    if variant.views or view == "plain":
        raise UserError(f"{view!r} is no view with two slots; choose r-ctx, for example.")
    pieces = _Pieces(to_rgb(image), boxes, size, outside)
    return pieces(variant.region, variant, box), pieces(variant.context, variant, box)


def prompts(
    image: Image.Image,
    boxes: Sequence[Box],
    config: PromptConfig,
    size: int,
    *,
    preprocess: Preprocess | None = None,
    rng: np.random.Generator | None = None,
) -> Tensor:
    """Return all a tower is shown of a region at test: (K, S, 3, H, W) uint8.

    K is what is averaged: the views, and inside a view the boxes shown (one where the view crops
    no box). S is 1, or 2 where the slots are separate, the first slot of `config.order` first.
    (H, W) is `picture_size`. The same arguments give the same pixels, but for random boxes.

    Args:
        image, boxes: A picture of any mode, and the boxes of the region in it.
        config: How it is shown.
        size: The tower's image side, used where the config names no other.
        preprocess: What makes a "plain" prompt; CLIP's center crop by default.
        rng: Where random boxes are drawn from; needed for them alone.

    Raises:
        UserError: the region has no box and the variant shows one.
    """
    image, n = to_rgb(image), config.size or size
    if config.variant == "plain":
        return _plain(image, n, preprocess)[None, None]
    pieces = _Pieces(image, boxes, n, config.outside)
    shown = []
    for view in views(config):
        variant = _variant(view)
        for box in _shown(variant, boxes, image.size, config.boxes, rng):
            shown.append(
                (pieces(variant.region, variant, box), pieces(variant.context, variant, box))
            )
    return torch.from_numpy(np.stack([_assembled(pair, config) for pair in shown]))


def train_prompt(
    sample: RegionSample,
    config: PromptConfig,
    size: int,
    rng: np.random.Generator,
    augmentation: Augmentation = OFF,
    *,
    boxes: Sequence[Box] | None = None,
    preprocess: Preprocess | None = None,
) -> Tensor:
    """Return what a tower is shown of a region in training: (3, H, W) uint8.

    A mixture draws one of its views, a region of several boxes the one that is cropped, each
    evenly. Separate slots give (2, 3, n, n). The size is the tower's image side, used where the
    config names no other; `boxes` are another region of the same picture (a wrong one).

    Raises:
        UserError: the region has no box and the variant shows one.
    """
    image, n = to_rgb(sample.image), config.size or size
    boxes = sample.boxes if boxes is None else boxes
    if config.variant == "plain":
        pixels = _plain(image, n, preprocess)
        if augmentation.off:
            return pixels
        picture = Image.fromarray(np.ascontiguousarray(pixels.permute(1, 2, 0).numpy()))
        return torch.from_numpy(_channels_first(augmentation([picture], rng)[0]))
    names = views(config)
    variant = _variant(names[int(rng.integers(len(names)))])
    (box,) = _shown(variant, boxes, image.size, "random", rng)
    pieces = _Pieces(image, boxes, n, config.outside)
    pair = pieces(variant.region, variant, box), pieces(variant.context, variant, box)
    made = _assembled(augmentation(pair, rng), config)
    return torch.from_numpy(made if config.layout == "separate" else made[0])


class _Pieces:
    """The slots that can be made of one region, each made once."""

    def __init__(
        self, image: Image.Image, boxes: Sequence[Box], size: int, outside: Outside
    ) -> None:
        self.image, self.boxes, self.size, self.outside = image, boxes, size, outside
        self._made: dict[tuple, Image.Image] = {}

    def __call__(self, part: Part, variant: Variant, box: int) -> Image.Image:
        """Return a slot of the variant; `box` is the one that "crop" shows."""
        if part == "crop":
            return self._once(("crop", box), lambda: self._crop(box))
        if part == "first crop":
            return self._once(("crop", 0), lambda: self._crop(0))
        mark = variant.mark
        return self._once((part, mark), lambda: self._resized(_part(self._marked(mark), part)))

    def _crop(self, box: int) -> Image.Image:
        if not self.boxes:
            raise UserError("the region has no box; give at least one.")
        chosen = self.boxes[box]
        if self.outside == "pad":
            return self._resized(self.image.crop(_padded(chosen, self.image.size)))
        left, top, width, height = map(int, clip_box(chosen, self.image.size))
        return self._resized(self.image.crop((left, top, left + width, top + height)))

    def _marked(self, mark: str | None) -> Image.Image:
        if mark is None:
            return self.image
        return self._once(("marked", mark), lambda: MARKS[mark](self.image, self.boxes))

    def _resized(self, image: Image.Image) -> Image.Image:
        return image.resize((self.size, self.size), Image.Resampling.BICUBIC)

    def _once(self, key: tuple, make: Callable[[], Image.Image]) -> Image.Image:
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]


def _variant(name: str) -> Variant:
    if name not in VARIANTS:
        raise UserError(
            f"there is no prompt variant {name!r}; choose from {', '.join(VARIANTS)}."
            f"{nearest(str(name), VARIANTS)}"
        )
    return VARIANTS[name]


def _shown(
    variant: Variant,
    boxes: Sequence[Box],
    size: tuple[int, int],
    choice: Choice,
    rng: np.random.Generator | None,
) -> Sequence[int]:
    """Return which boxes the region slot shows in turn."""
    if len(boxes) < 2 or variant.region != "crop":
        return (0,)
    if choice == "average":
        return range(len(boxes))
    if choice == "largest":
        areas = [box[2] * box[3] for box in (clip_box(box, size) for box in boxes)]
        return (areas.index(max(areas)),)
    if rng is None:
        raise ValueError("random boxes need a generator to be drawn from")
    return (int(rng.integers(len(boxes))),)


def _part(image: Image.Image, part: Part) -> Image.Image:
    if part == "whole":
        return image
    width, height = image.size
    side = min(width, height)
    left, top = (0, 0) if part == "first square" else (width - side, height - side)
    return image.crop((left, top, left + side, top + side))


def _plain(image: Image.Image, size: int, preprocess: Preprocess | None) -> Tensor:
    """Return the whole picture by the tower's own preprocessing, (3, n, n)."""
    return replace(preprocess or Preprocess(), size=(size, size))(image)


def _assembled(pair: Sequence[Image.Image], config: PromptConfig) -> np.ndarray:
    arrays = [_channels_first(slot) for slot in pair]
    if config.order == "context_first":
        arrays.reverse()
    if config.layout == "separate":
        return np.stack(arrays)
    return np.concatenate(arrays, axis=1 if config.layout == "stacked" else 2)[None]


def _channels_first(image: Image.Image) -> np.ndarray:
    """Return an RGB picture as a contiguous (3, H, W) uint8 array."""
    return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))


def _padded(box: Box, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return the edges to crop with padding: at most a picture's side beyond the picture."""
    left, top, right, bottom = edges(box)
    left, top = (min(max(low, -side), 2 * side - 1) for low, side in zip((left, top), size))
    right, bottom = (min(max(high, -side), 2 * side) for high, side in zip((right, bottom), size))
    return left, top, max(right, left + 1), max(bottom, top + 1)
