"""The learning rate of every step: linear warm-up, then half a cosine.

The schedule of the CLIP family's training code, as FSC-CLIP uses it (Oh et al., EMNLP 2024, arXiv
2410.05210, implementation details): base (step + 1) / warmup, then
½ (1 + cos(π (step − warmup) / (total − warmup))) base.
"""

from __future__ import annotations

import math


def learning_rate(step: int, *, base: float, warmup: int, total: int) -> float:
    """Return the learning rate of `step` (from 0) of a run of `total` steps."""
    if step < warmup:
        return base * (step + 1) / warmup
    if total <= warmup:
        return base
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / (total - warmup))) * base
