"""Selective calibrated regularization: a focal loss on smoothed targets, with missing classes.

The loss of the hard-negative terms in FSC-CLIP (Oh et al., EMNLP 2024, arXiv 2410.05210), a
(1+K)-way classification of an image's own caption (class 0) against its K hard negatives. With
n = 1 + the number of negatives that exist, p = softmax(x), focusing γ (Lin et al., ICCV 2017,
arXiv 1708.02002) and smoothing β,

    y_0 = (1 − β) + β/n,    y_k = β/n if negative k exists, else 0,
    ρ(x) = − Σ_k y_k (1 − p_k)^γ log p_k,

averaged over the rows that have a negative. γ = β = 0 is cross-entropy, β = 0 the focal loss,
γ = 0 label smoothing. Each smoothed class is modulated by its own (1 − p_k)^γ.

Where a negative could not be made, its class is masked out of the softmax, as the paper says
(`missing="mask"`), or stays in it with logit 0, as in the authors' code (`missing="zero"`).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from trifocal.losses.distributed import mean_over_ranks
from trifocal.losses.precision import widen

Missing = Literal["mask", "zero"]


def check_missing(missing: str) -> None:
    """Raise ValueError unless `missing` names a known treatment of missing negatives."""
    if missing not in ("mask", "zero"):
        raise ValueError(f"missing must be 'mask' or 'zero', not {missing!r}")


def calibrated_rows(
    logits: Tensor,
    valid: Tensor,
    gamma: float,
    smoothing: float,
    missing: Missing = "mask",
) -> Tensor:
    """Return the calibrated loss of each row, (B,), 0 where the row has no negative.

    Args and errors are those of `calibrated_loss`.
    """
    check_missing(missing)
    if logits.ndim != 2 or valid.shape != (logits.shape[0], logits.shape[1] - 1):
        raise ValueError(
            f"logits (B, 1+K) and valid (B, K) do not fit: {tuple(logits.shape)} and "
            f"{tuple(valid.shape)}"
        )
    if gamma < 0 or not 0 <= smoothing < 1:
        raise ValueError(f"need gamma >= 0 and 0 <= smoothing < 1, not {gamma} and {smoothing}")
    valid = valid.bool()
    absent = torch.cat([torch.zeros_like(valid[:, :1]), ~valid], dim=1)
    filler = float("-inf") if missing == "mask" else 0.0
    log_p = widen(logits).masked_fill(absent, filler).log_softmax(dim=1)

    target = (~absent).to(log_p.dtype)
    target = smoothing * target / target.sum(dim=1, keepdim=True)
    target[:, 0] += 1 - smoothing
    # 1 − p from expm1 keeps its digits where p is almost 1; the clamp keeps the slope of the power
    # finite there. The fill keeps 0 · (−∞) out of the sum.
    others = (-torch.expm1(log_p)).clamp_min(torch.finfo(log_p.dtype).eps)
    rows = -(target * others.pow(gamma) * log_p.masked_fill(absent, 0.0)).sum(dim=1)
    return torch.where(valid.any(dim=1), rows, 0.0)


def calibrated_loss(
    logits: Tensor,
    valid: Tensor,
    gamma: float,
    smoothing: float,
    missing: Missing = "mask",
    *,
    across_ranks: bool = True,
) -> Tensor:
    """Return the selective calibrated loss of (1+K)-way logits, a scalar.

    Args:
        logits: (B, 1+K); column 0 is the truth. What stands in missing columns is ignored.
        valid: (B, K), true where the negative exists.
        gamma: Focusing exponent γ ≥ 0.
        smoothing: Share β in [0, 1) of the target spread evenly over the classes that exist.
        missing: Leave missing classes out of the softmax ("mask") or keep them there with logit 0
            ("zero").
        across_ranks: With several processes, average over the rows of all of them (every process
            must call); else over the rows at hand.

    Returns:
        The mean over rows that have at least one negative; 0, with zero gradient, without any.

    Raises:
        ValueError: for shapes that do not fit or parameters out of range.

    Source:
        FSC-CLIP (Oh et al., EMNLP 2024, arXiv 2410.05210), selective calibrated regularization.
    """
    rows = calibrated_rows(logits, valid, gamma, smoothing, missing)
    return mean_over_ranks(rows.sum(), valid.bool().any(dim=1).sum(), across_ranks)
