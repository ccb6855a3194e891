"""Classification accuracy: top k and the mean over classes of per-class recall.

Ties follow `ranks`: an answer that shares its score with others is right as often as it would be
if equal scores were ordered at random, so a constant classifier is at chance.
"""

from __future__ import annotations

import torch
from torch import Tensor


def correct_at(logits: Tensor, labels: Tensor, k: int = 1) -> Tensor:
    """Return (N,) float64 in [0, 1]: is the label (N,) among the k highest of the logits (N, C)?"""
    own = logits.gather(1, labels[:, None])
    above = (logits > own).sum(dim=1)
    tied = (logits == own).sum(dim=1)  # itself included
    chance = ((k - above).double() / tied.clamp_min(1)).clamp(0, 1)
    return torch.where(torch.isfinite(own.squeeze(1)), chance, 0.0)  # NaN is never right


def ties_at(logits: Tensor, labels: Tensor, k: int = 1) -> int:
    """Return for how many rows equal logits decide whether the label is among the k highest."""
    right = correct_at(logits, labels, k)
    return int(((right > 0) & (right < 1)).sum())


def accuracy(logits: Tensor, labels: Tensor, k: int = 1) -> float:
    """Return top-k accuracy (`acc1`, `acc5`) in [0, 1]."""
    return float(correct_at(logits, labels, k).mean())


def mean_per_class_recall(logits: Tensor, labels: Tensor) -> float:
    """Return the recall of each class that occurs in `labels`, averaged over those classes.

    Each class counts the same, however many images it has (balanced accuracy).
    """
    right = correct_at(logits, labels, 1)
    classes = int(labels.max()) + 1
    total = torch.zeros(classes, dtype=torch.float64).scatter_add_(0, labels, right)
    count = torch.bincount(labels, minlength=classes)
    present = count > 0
    return float((total[present] / count[present]).mean())


def confusion(logits: Tensor, labels: Tensor) -> Tensor:
    """Return (C, C) long counts: row the true class, column the highest logit."""
    classes = logits.shape[1]
    flat = labels * classes + logits.argmax(dim=1)
    return torch.bincount(flat, minlength=classes * classes).reshape(classes, classes)
