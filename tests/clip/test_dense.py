"""Dense features: the formula head by head, and what must not change."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from trifocal.clip import Clip
from trifocal.clip.dense import DenseAttention, dense_features
from trifocal.errors import UserError

ALL: tuple[DenseAttention, ...] = ("value", "query", "key", "query-key")


@pytest.fixture
def pixels() -> Tensor:
    return torch.rand(2, 3, 32, 48, generator=torch.Generator().manual_seed(3))


def explicit(clip: Clip, pixels: Tensor, attention: str, block: bool) -> Tensor:
    """Return the same, one picture, one head and one patch after another."""
    network: Any = clip.network
    layer = network.vision_model.encoder.layers[-1]
    inputs: list[Tensor] = []
    hook = layer.register_forward_pre_hook(
        lambda _, args, kwargs: inputs.append((*args, *kwargs.values())[0]), with_kwargs=True
    )
    clip.encode_image(pixels)
    hook.remove()
    inside, width = layer.self_attn, layer.self_attn.head_dim
    made = []
    for states in inputs[0]:
        normal = layer.layer_norm1(states)
        parts = []
        for head in range(inside.num_heads):
            own = slice(head * width, (head + 1) * width)
            q, k, v = (p(normal)[:, own] for p in (inside.q_proj, inside.k_proj, inside.v_proj))
            tables = {
                "value": [torch.eye(len(v))],
                "query": [(q @ q.T / width**0.5).softmax(1)],
                "key": [(k @ k.T / width**0.5).softmax(1)],
            }
            tables["query-key"] = tables["query"] + tables["key"]
            parts.append(torch.stack([table @ v for table in tables[attention]]).mean(0))
        change = inside.out_proj(torch.cat(parts, 1))
        if block:
            between = states + change
            change = between + layer.mlp(layer.layer_norm2(between))
        made.append(network.visual_projection(network.vision_model.post_layernorm(change))[1:])
    return F.normalize(torch.stack(made), dim=-1).unflatten(1, (4, 6))


@pytest.mark.parametrize("block", [False, True])
@pytest.mark.parametrize("attention", ALL)
@torch.no_grad()
def test_they_are_the_formula(
    tiny_clip: Clip, pixels: Tensor, attention: DenseAttention, block: bool
) -> None:
    found = dense_features(tiny_clip, pixels, attention, block=block)
    assert found.shape == (2, 4, 6, 24)
    expected = explicit(tiny_clip, pixels, attention, block)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_the_towers_own_attention_gives_the_towers_patches(tiny_clip: Clip, pixels: Tensor) -> None:
    patches = tiny_clip.encode_image(pixels, patches=True).patches
    assert patches is not None
    found = dense_features(tiny_clip, pixels, "tower").flatten(1, 2)
    torch.testing.assert_close(found, F.normalize(patches, dim=-1))


def test_nothing_stays_behind_and_nothing_is_to_be_learned(tiny_clip: Clip, pixels: Tensor) -> None:
    before = tiny_clip.encode_image(pixels).pooled
    assert not dense_features(tiny_clip, pixels).requires_grad
    layer = tiny_clip.network.vision_model.encoder.layers[-1]
    assert not layer._forward_pre_hooks
    torch.testing.assert_close(tiny_clip.encode_image(pixels).pooled, before)


def test_values_do_not_see_other_patches(tiny_clip: Clip, pixels: Tensor) -> None:
    """With one block, a patch's value depends on that patch alone."""
    del tiny_clip.network.vision_model.encoder.layers[1:]
    changed = pixels.clone()
    changed[:, :, :8, :8] = 0.0
    before, after = (dense_features(tiny_clip, each, "value") for each in (pixels, changed))
    same = torch.isclose(before, after, atol=1e-5).all(-1)
    assert not same[:, 0, 0].any()
    assert same.flatten(1)[:, 1:].all()


def test_an_unknown_attention_is_named(tiny_clip: Clip, pixels: Tensor) -> None:
    with pytest.raises(UserError, match="no dense attention 'valu'; choose one of tower, value"):
        dense_features(tiny_clip, pixels, "valu")  # pyright: ignore[reportArgumentType]


def test_an_odd_shape_is_refused(tiny_clip: Clip) -> None:
    with pytest.raises(ValueError, match="multiples of 8"):
        dense_features(tiny_clip, torch.rand(1, 3, 30, 32))
