"""Attention of CLS: what the tower itself computes, adapters included."""

from __future__ import annotations

import pytest
import torch

from trifocal.clip import Clip, ClipShape, build_clip, train_tokenizer
from trifocal.regions.attention import cls_attention
from trifocal.tuning import AdapterConfig, Surgery, operate

SHAPE = ClipShape(
    image_size=32, patch_size=8, vision_width=32, vision_layers=2, vision_heads=4,
    text_width=32, text_layers=1, text_heads=2, embed_dim=16, context_length=32,
)  # fmt: skip


@pytest.fixture
def clip() -> Clip:
    made = build_clip(SHAPE, train_tokenizer(["a ball"], 520, context_length=32))
    return made.eval()


def explicit(clip: Clip, pixels: torch.Tensor) -> torch.Tensor:
    """Return the last block's attention of CLS as transformers' eager attention gives it."""
    clip.network.set_attn_implementation("eager")
    kept = []
    attention = clip.network.vision_model.encoder.layers[-1].self_attn
    hook = attention.register_forward_hook(lambda _, args, out: kept.append(out[1]))
    with torch.no_grad():
        clip.encode_image(pixels)
    hook.remove()
    clip.network.set_attn_implementation("sdpa")
    weights = kept[0].mean(1)[:, 0, 1:]
    return (weights / weights.sum(-1, keepdim=True)).unflatten(-1, (8, 4))


def test_it_is_the_towers_own(clip: Clip) -> None:
    pixels = torch.randn(3, 3, 64, 32)
    found = cls_attention(clip, pixels)
    assert found.shape == (3, 8, 4)
    torch.testing.assert_close(found.sum((1, 2)), torch.ones(3))
    torch.testing.assert_close(found, explicit(clip, pixels), rtol=1e-4, atol=1e-6)


def test_a_map_adapter_counts(clip: Clip) -> None:
    pixels = torch.randn(2, 3, 64, 32)
    before = cls_attention(clip, pixels)
    operate(clip.network, Surgery("scale", adapters=AdapterConfig(modules=("map",))))
    torch.testing.assert_close(cls_attention(clip, pixels), before)
    adapter = clip.network.vision_model.encoder.layers[-1].adapters["map_adapter"]
    with torch.no_grad():
        adapter.project.weight.normal_()
    changed = cls_attention(clip, pixels)
    assert (changed - before).abs().max() > 1e-3
    torch.testing.assert_close(changed.sum((1, 2)), torch.ones(2))
