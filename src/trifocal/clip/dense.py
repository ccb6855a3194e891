"""Dense features: what each patch of a picture shows, from a CLIP trained on whole pictures.

CLIP's patches were never asked to match words. Attention in the image tower's last block gathers
what the whole picture is about, so every patch says much the same; and what the residual stream and
the MLP of that block add is for CLS alone. Without training, patches say more of themselves where the
last block's attention is replaced:

    value       a patch keeps its own value           MaskCLIP, Zhou et al., ECCV 2022 (2112.01071)
    query, key  patches with like queries (or keys)   ClearCLIP, Lan et al., ECCV 2024 (2407.12442)
    query-key   the mean of both                      SCLIP, Wang et al., ECCV 2024 (2312.01597)

For normalized states u of the block's input x, heads h and projections Q, K, V, O,

    A_h = (softmax(q_h q_hᵀ / √d) + softmax(k_h k_hᵀ / √d)) / 2        for query-key
    z   = O [A_1 v_1, …, A_H v_H]      and, with `block`, x + z + MLP(LN2(x + z))

are brought into the joint space as CLS is. SCLIP adds the two softmaxes and keeps the block around
them (`block=True`); ClearCLIP leaves out residual and MLP, which is the default here.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from trifocal.clip import towers
from trifocal.clip.last_block import entering_last_block
from trifocal.clip.model import Clip
from trifocal.errors import UserError

DenseAttention = Literal["tower", "value", "query", "key", "query-key"]

DENSE_ATTENTION: DenseAttention = "query-key"
"""What is used where nobody says otherwise; docs/concepts.md has the figures."""

_PARTS = {"value": (), "query": ("q",), "key": ("k",), "query-key": ("q", "k")}


@torch.no_grad()
def dense_features(
    clip: Clip,
    pixels: Tensor,
    attention: DenseAttention = DENSE_ATTENTION,
    *,
    block: bool = False,
) -> Tensor:
    """Return (B, rows, columns, D) unit features of a picture's patches, in the joint space.

    LoRA in the last block's projections counts; adapters and prompts that stand in that block
    beside them do not, as they belong to the attention that is replaced.

    Args:
        clip: The model; its last image block is read differently, and nothing is changed in it.
        pixels: (B, 3, H, W) as `Clip.encode_image` takes them; H and W are any multiples of the
            patch size, so a larger picture has a finer grid.
        attention: Which patches a patch listens to; "tower" is CLIP's own, for comparison.
        block: Whether the last block's residual and MLP are kept ("tower" always keeps them).

    Raises:
        UserError: there is no such attention, or the model has no towers to look into.
        ValueError: the shape does not fit.
    """
    if attention not in get_args(DenseAttention):
        known = ", ".join(get_args(DenseAttention))
        raise UserError(f"there is no dense attention {attention!r}; choose one of {known}.")
    with entering_last_block(clip) as (layer, seen):
        patches = clip.encode_image(pixels, patches=True).patches
    assert patches is not None
    if attention != "tower":
        states = _listened(layer, seen[0], attention, block)
        patches = towers.project_image(clip.network, states[:, 1:])
    rows, columns = (side // clip.patch_size for side in pixels.shape[-2:])
    return F.normalize(patches.float(), dim=-1).unflatten(1, (rows, columns))


def _listened(layer: Any, states: Tensor, attention: DenseAttention, block: bool) -> Tensor:
    """Return (B, L, W) what a block makes of states (B, L, W) with another attention."""
    inside: Any = layer.self_attn
    normal = layer.layer_norm1(states)

    def heads(project: Any) -> Tensor:
        return project(normal).unflatten(-1, (-1, inside.head_dim)).transpose(1, 2)

    values = heads(inside.v_proj)  # (B, H, L, W / H)
    alike = [heads(getattr(inside, f"{part}_proj")) for part in _PARTS[attention]]
    if alike:
        scale = inside.scale
        mixed = [F.scaled_dot_product_attention(q, q, values, scale=scale) for q in alike]
        values = torch.stack(mixed).mean(0)
    change = inside.out_proj(values.transpose(1, 2).flatten(2))
    if not block:
        return change
    states = states + change
    return states + layer.mlp(layer.layer_norm2(states))
