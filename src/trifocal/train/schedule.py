"""The learning rate of every step: warm-up, then half a cosine.

The schedule of the CLIP family's training code, as FSC-CLIP uses it (Oh et al., EMNLP 2024, arXiv
2410.05210, implementation details): base (step + 1) / warmup, then
floor + ½ (1 + cos(π (step − warmup) / (total − warmup))) (base − floor), with a floor of 0.

Few-shot methods have variants. CLIP-LoRA (arXiv 2405.18541) has a floor and no warm-up. CoOp (arXiv
2109.01134), and TaskRes after it, keep a constant rate for one epoch of warm-up and change it between
epochs only: in epoch e of E it is ½ (1 + cos(π (e − warmup) / E)) base, which ends above 0.
"""

from __future__ import annotations

import math


def learning_rate(
    step: int,
    *,
    base: float,
    warmup: int,
    total: int,
    constant: float | None = None,
    floor: float = 0.0,
) -> float:
    """Return the learning rate of `step` (from 0) of a run of `total` steps.

    `base` is the rate after warm-up, `constant` the one during it, where it does not rise; the
    cosine ends at `floor`.
    """
    if step < warmup:
        return base * (step + 1) / warmup if constant is None else constant
    if total <= warmup:
        return base
    return _half_cosine((step - warmup) / (total - warmup), base, floor)


def epoch_learning_rate(
    epoch: int,
    *,
    base: float,
    warmup: int,
    epochs: float,
    constant: float | None = None,
    floor: float = 0.0,
) -> float:
    """Return the learning rate of all of `epoch` (from 0) of a run of `epochs`.

    The arguments are those of `learning_rate`, counted in epochs.
    """
    if epoch < warmup:
        return base * (epoch + 1) / warmup if constant is None else constant
    return _half_cosine((epoch - warmup) / epochs, base, floor)


def _half_cosine(share: float, base: float, floor: float) -> float:
    return floor + 0.5 * (1 + math.cos(math.pi * share)) * (base - floor)
