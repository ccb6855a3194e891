"""A tiny CLIP and samples of regions, for the methods on them."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from trifocal.clip import Clip, ClipShape, Tokenizer, build_clip, train_tokenizer
from trifocal.data.regions import Box, RegionSample
from trifocal.tuning import TunedClip

CLUES = ["a red ball", "two small cats.", "a blue cup", "an open door"]
INFERENCES = ["a game is on", "someone left milk", "it is tea time.", "a guest has come"]
_TOKENIZER: list[Tokenizer] = []


def tiny_clip(seed: int = 0, **shape: Any) -> Clip:
    """A CLIP with two layers a tower, on pictures of 32 x 32."""
    if not _TOKENIZER:
        words = [*CLUES, *INFERENCES, "clue", "inference"]
        _TOKENIZER.append(train_tokenizer(words, 560, context_length=32))
    options: dict[str, Any] = {
        "image_size": 32, "patch_size": 16, "vision_width": 32, "vision_layers": 2,
        "vision_heads": 2, "text_width": 32, "text_layers": 2, "text_heads": 2, "embed_dim": 16,
        "context_length": 32,
    }  # fmt: skip
    return build_clip(ClipShape(**{**options, **shape}), _TOKENIZER[0], seed=seed)


def trained_counts(method: TunedClip) -> dict[str, int]:
    """How many parameters are trained: of what the surgery added, and pretrained ones."""
    trained = [p for p in method.parameters() if p.requires_grad]
    added = sum(p.numel() for p in trained if p in set(method.added))
    return {"adapters": added, "pretrained": sum(p.numel() for p in trained) - added}


def noise(size: tuple[int, int], seed: int = 0) -> Image.Image:
    """A picture of its own, (width, height)."""
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(256, size=(size[1], size[0], 3), dtype=np.uint8))


def region_sample(
    index: int = 0,
    boxes: tuple[Box, ...] = ((10, 20, 40, 30),),
    proposals: tuple[Box, ...] = ((60, 5, 30, 40), (12, 22, 40, 30)),
    clue: str | None = None,
) -> RegionSample:
    """One of a few samples, with a proposal that is wrong and one that is nearly right."""
    found = CLUES[index % 4] if clue is None else clue
    picture = noise((120, 80), index)
    return RegionSample(f"r{index}", picture, boxes, found, INFERENCES[index % 4], proposals)
