"""A check of half precision: a few pictures and texts, once, against float32.

Most towers lose nothing that counts. Some have numbers that 8 or 11 bits of mantissa cannot hold
(positions near 700, say); in half precision they embed noise, without any error.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LEAST_COSINE = 0.99
TEXTS = ("a photo of a dog", "a red circle above a blue square")

_HALF = (torch.float16, torch.bfloat16)

logger = logging.getLogger(__name__)


class Towers(Protocol):
    """The parts of a `Clip` that are tried."""

    network: Any
    name: str

    @property
    def image_size(self) -> tuple[int, int]: ...
    def encode_image(self, pixels: Tensor) -> Any: ...
    def encode_text(self, texts: Any) -> Any: ...
    def modules(self) -> Any: ...


class HalfPrecision:
    """Watches one Clip, and warns once for each kind of half precision that spoils a tower."""

    def __init__(self) -> None:
        self._tried: set[torch.dtype] = set()
        self._exact: list[Tensor] | None = None  # of float32 weights that are no more

    def before_cast(self, clip: Towers, change: Callable[[Tensor], Tensor]) -> None:
        """Note what the towers give in float32, if their weights are about to lose precision."""
        weight = clip.network.logit_scale
        if weight.dtype != torch.float32 or weight.device.type == "meta":
            return
        if change(torch.zeros(1, device=weight.device)).dtype in _HALF:
            self._exact = _embed(clip, _without_autocast(weight.device.type))
            self._tried.clear()

    def in_use(self, clip: Towers) -> None:
        """Check the precision that the towers are used in, the first time."""
        weight = clip.network.logit_scale
        kind, dtype = weight.device.type, weight.dtype
        if dtype == torch.float32 and torch.is_autocast_enabled(kind):
            dtype = torch.get_autocast_dtype(kind)
        if dtype not in _HALF or dtype in self._tried:
            return
        self._tried.add(dtype)  # before the towers are used for the check itself
        exact = self._exact
        if weight.dtype == torch.float32:
            exact = _embed(clip, _without_autocast(kind))
        if exact is None:
            return  # nobody knows what they were
        # Weights cast without gradients must not be found again in autocast's cache.
        lossy = torch.autocast(kind, dtype=dtype, cache_enabled=False)
        if weight.dtype != torch.float32:
            lossy = _without_autocast(kind)
        for tower, first, second in zip(("image", "text"), exact, _embed(clip, lossy)):
            cosine = F.cosine_similarity(first, second).min().item()
            if not cosine >= LEAST_COSINE:  # nor NaN
                logger.warning(
                    "the %s tower of %s loses its meaning in %s: the least cosine to its float32 "
                    "embeddings is %.3f; keep it in float32 (precision: fp32)",
                    tower, clip.name, str(dtype).removeprefix("torch."), cosine,
                )  # fmt: skip


def _without_autocast(kind: str) -> AbstractContextManager[Any]:
    return torch.autocast(kind, enabled=False)


def _embed(clip: Towers, precision: AbstractContextManager[Any]) -> list[Tensor]:
    """Return the embeddings of plain pictures and of two texts; no draw, gradient or compiling.

    Plain ones, because what is left of little shows a loss first.
    """
    height, width = clip.image_size
    shade = torch.linspace(255, 0, height)[:, None].expand(3, height, width)
    black, gray = torch.zeros_like(shade), torch.full_like(shade, 128)
    pixels = torch.stack([shade, black, gray]).to(torch.uint8)
    parts: list[nn.Module] = [part for part in clip.modules() if part.training]
    for part in parts:
        part.training = False
    try:
        with torch.no_grad(), precision, torch.compiler.set_stance("force_eager"):
            made = [clip.encode_image(pixels).pooled, clip.encode_text(TEXTS).pooled]
    finally:
        for part in parts:
            part.training = True
    return [each.float().cpu() for each in made]
