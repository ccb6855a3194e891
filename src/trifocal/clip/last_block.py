"""What enters the last block of an image tower, for who reads that block differently."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from trifocal.clip.model import Clip


@contextmanager
def entering_last_block(clip: Clip) -> Iterator[tuple[Any, list[Tensor]]]:
    """Yield the image tower's last block, and a list that gets its input (B, L, W) of each pass."""
    layer: Any = clip.network.vision_model.encoder.layers[-1]
    seen: list[Tensor] = []

    def keep(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        seen.append(args[0] if args else kwargs["hidden_states"])

    hook = layer.register_forward_pre_hook(keep, with_kwargs=True)
    try:
        yield layer, seen
    finally:
        hook.remove()
