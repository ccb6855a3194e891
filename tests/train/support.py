"""A tiny real CLIP, and a source whose pictures can be told apart."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch

from trifocal.clip import Clip, ClipShape, Tokenizer, build_clip, train_tokenizer
from trifocal.data.batching import RandomCrop
from trifocal.data.images import BadImage
from trifocal.data.samples import Sample
from trifocal.regions import RcaConfig
from trifocal.train.optimizer import AdamWConfig, MuonConfig, SgdConfig
from trifocal.train.recipe import Recipe, ScheduleRecipe
from trifocal.tuning import AdapterConfig

WORDS = ("red", "green", "blue", "gray", "round", "square", "big", "small", "cat", "dog", "sun")
CAPTIONS = [f"a {a} {b} {c}" for a in WORDS[:4] for b in WORDS[4:8] for c in WORDS[8:]]
_TOKENIZER: list[Tokenizer] = []


def tiny_clip(seed: int = 0, **shape) -> Clip:
    """A CLIP with two layers a tower, on pictures of 16 x 16."""
    if not _TOKENIZER:
        _TOKENIZER.append(train_tokenizer(CAPTIONS, vocab_size=560, context_length=24))
    options = {
        "image_size": 16, "patch_size": 8, "vision_width": 16, "vision_layers": 2,
        "vision_heads": 2, "text_width": 16, "text_layers": 2, "text_heads": 2, "embed_dim": 8,
        "context_length": 24,
    }  # fmt: skip
    return build_clip(ClipShape(**{**options, **shape}), _TOKENIZER[0], seed=seed)


def rca_config(loss, **options) -> RcaConfig:
    """RCA with a loss; without the draws on a whole batch that processes cannot share."""
    adapters = AdapterConfig(drop_path=options.pop("drop_path", 0.0))
    return RcaConfig(loss=loss, adapters=adapters, **options)


class Pictures:
    """Random pictures, each with a caption in two wordings; some of them unreadable."""

    def __init__(self, count: int = 64, bad: frozenset[int] = frozenset()):
        self.count, self.bad = count, bad

    def __len__(self) -> int:
        return self.count

    def sample(self, index: int, rng: np.random.Generator) -> Sample:
        if index in self.bad:
            raise BadImage(f"p{index}", "broken")
        pixels = np.random.default_rng(index).integers(0, 256, (3, 16, 16), dtype=np.uint8)
        noise = rng.integers(0, 9, pixels.shape, dtype=np.uint8)
        caption = f"{('', 'look, ')[rng.integers(2)]}{CAPTIONS[index % len(CAPTIONS)]}"
        return Sample(f"p{index}", torch.from_numpy(pixels // 2 + noise), caption)


def shuffled(caption: str, rng: np.random.Generator) -> dict[str, str | None]:
    """Hard negatives of two kinds; the second is sometimes missing."""
    words = caption.split()
    turned = " ".join(reversed(words))
    return {"swap": turned, "shuffle": turned[2:] if rng.random() < 0.5 else None}


def batching(method):
    """A method's batches: tensors as they are, photos cropped, negatives where it wants some."""
    if method.samples == "regions":
        return method.batching()
    transform = RandomCrop(method.clip.preprocess)
    if method.samples == "classes":
        return method.batching(transform)
    return method.batching(transform, shuffled if method.negative_kinds else None)


OPTIMIZERS = {"adamw": AdamWConfig, "muon": MuonConfig, "sgd": SgdConfig}


def recipe(output: Path, **changes) -> Recipe:
    """Eight quick steps in one process."""
    steps = changes.pop("steps", 8)
    lr = changes.pop("lr", 1e-3)
    optimizer = changes.pop("optimizer", "adamw")
    text_from = changes.pop("text_from", 0)
    options = {
        "name": "t", "output": str(output), "batch_size": 8, "workers": 0, "log_every": 1,
        "checkpoint_every": 0, "optimizer": OPTIMIZERS[optimizer](lr=lr),
        "schedule": ScheduleRecipe(warmup_steps=2, steps=steps, text_from=text_from),
        "max_logit_scale": math.log(100),
    }  # fmt: skip
    return Recipe(**{**options, **changes})


def weights(method: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in method.named_parameters()}


def largest_gap(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> float:
    assert first.keys() == second.keys()
    return max(float((first[name] - second[name]).abs().max()) for name in first)
