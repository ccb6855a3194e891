"""The one precision rule of the losses: products and sums in float32 or wider.

Logits reach 100 (the logit scale times a cosine), where one step of bfloat16 is 0.5 and one of
float16 is 0.06: enough to spoil a softmax. Embeddings may arrive in any float type.
"""

from __future__ import annotations

import torch
from torch import Tensor


def widen(values: Tensor) -> Tensor:
    """Return `values` in float32, or in float64 where they are float64 already."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def no_autocast(like: Tensor) -> torch.autocast:
    """Return a context in which matrix products keep the type of their operands."""
    return torch.autocast(like.device.type, enabled=False)
