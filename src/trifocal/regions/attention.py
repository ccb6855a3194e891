"""Where a model looks: the attention that CLS pays to each patch in the image tower's last block."""

from __future__ import annotations

import torch
from torch import Tensor

from trifocal.clip import Clip
from trifocal.clip.last_block import entering_last_block


@torch.no_grad()
def cls_attention(clip: Clip, pixels: Tensor) -> Tensor:
    """Return (B, rows, columns), how CLS spreads its attention over the patches; each sums to 1.

    The pixels are (B, 3, H, W), as the Clip's `encode_image` takes them.

    The mean over the heads of the last block, a map adapter's share included; what CLS pays to
    itself is left out.
    """
    with entering_last_block(clip) as (layer, seen):
        clip.encode_image(pixels)
    normal, attention = layer.layer_norm1(seen[0]), layer.self_attn
    heads = (attention.num_heads, attention.head_dim)
    queries = attention.q_proj(normal[:, :1]).unflatten(-1, heads).transpose(1, 2)
    keys = attention.k_proj(normal).unflatten(-1, heads).transpose(1, 2)
    logits = queries @ keys.mT  # (B, H, 1, L)
    adapters = getattr(layer, "adapters", {})
    if "map_adapter" in adapters:
        more_queries, more_keys = adapters["map_adapter"](normal)
        logits = logits + more_queries[:, :, :1] @ more_keys.mT
    weights = (attention.scale * logits.float()).softmax(-1).mean(1)[:, 0, 1:]
    rows, columns = (side // clip.patch_size for side in pixels.shape[-2:])
    return (weights / weights.sum(-1, keepdim=True)).unflatten(-1, (rows, columns))
