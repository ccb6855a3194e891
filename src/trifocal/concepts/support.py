"""What a head is fitted to: labeled features of a few pictures, texts, and perhaps validation rows.

Everything is checked once, here; what does not do is said in a sentence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from trifocal.errors import UserError

Labeled = tuple[Tensor, Tensor]  # features (n, d) and labels (n,)


def unit(features: Tensor) -> Tensor:
    """Return rows of length one, (..., d)."""
    return F.normalize(features, dim=-1)


@dataclass(frozen=True)
class Support:
    """What a head is fitted to, checked."""

    views: Tensor  # (N, V, d) features as they were given, not normalized
    labels: Tensor  # (N,) long, 0..D-1; each class occurs
    # (D, d) class texts as they were given, or None for a head without a text branch.
    text: Tensor | None
    concepts: Tensor | None  # (I, d) unit text concepts, or None
    val: Labeled | None  # features and labels that selection may use, or None
    classes: int  # D

    @property
    def features(self) -> Tensor:
        """(N, d) unit features: the views averaged as they are, then made unit."""
        return unit(self.views.mean(1))

    @property
    def class_text(self) -> Tensor:
        """(D, d) unit class texts; zeros where there are none."""
        if self.text is None:
            return self.views.new_zeros(self.classes, self.views.shape[-1])
        return unit(self.text)

    @property
    def onehot(self) -> Tensor:
        """(N, D) labels as rows with a single one."""
        return F.one_hot(self.labels, self.classes).to(self.views.dtype)

    @property
    def counts(self) -> Tensor:
        """(D,) support images of each class."""
        return torch.bincount(self.labels, minlength=self.classes)

    @property
    def shots(self) -> int:
        """The smallest number of support images of a class."""
        return int(self.counts.min())


def checked_support(
    support: Tensor,
    labels: Tensor | Sequence[int],
    class_text: Tensor | None,
    concept_text: Tensor | None,
    val: Labeled | None,
) -> Support:
    """Return what a head's `fit` is given, checked and in one precision.

    Raises:
        UserError: shapes do not fit, numbers are not finite, or a class has no picture.
    """
    views = floating(support, "support")
    if views.ndim == 2:
        views = views[:, None]
    if views.ndim != 3 or not len(views):
        raise UserError(f"support must be (N, d) or (N, V, d), not of shape {tuple(views.shape)}.")
    width = views.shape[-1]
    labels = class_labels(labels, len(views), "labels")
    text = rows_as_wide(class_text, width, "class_text", views)
    concepts = rows_as_wide(concept_text, width, "concept_text", views)
    classes = len(text) if text is not None else int(labels.max()) + 1
    if int(labels.max()) >= classes:
        raise UserError(
            f"there is a label {int(labels.max())}, but class_text has {classes} rows; labels "
            "count from 0."
        )
    missing = (torch.bincount(labels, minlength=classes) == 0).nonzero().flatten().tolist()
    if missing:
        raise UserError(
            f"class {missing[0]} has no support image ({len(missing)} of {classes} classes "
            "have none); give each class one at least."
        )
    if val is not None:
        features = rows_as_wide(val[0], width, "the features of val", views)
        assert features is not None
        val = (features, class_labels(val[1], len(features), "the labels of val").to(views.device))
    concepts = None if concepts is None else unit(concepts)
    return Support(views, labels.to(views.device), text, concepts, val, classes)


def floating(values: Tensor, name: str) -> Tensor:
    """Return a tensor of floats of at least 32 bits, all of them finite."""
    tensor = torch.as_tensor(values)
    tensor = tensor if tensor.dtype in (torch.float32, torch.float64) else tensor.float()
    if not bool(tensor.isfinite().all()):
        raise UserError(f"{name} holds numbers that are not finite; embed the pictures again.")
    return tensor


def class_labels(labels: Tensor | Sequence[int], count: int, name: str) -> Tensor:
    """Return (count,) labels from 0 on."""
    tensor = torch.as_tensor(labels).long()
    if tensor.shape != (count,) or int(tensor.min()) < 0:
        raise UserError(
            f"{name} must be {count} integers from 0 on, one a row, not of shape "
            f"{tuple(tensor.shape)}."
        )
    return tensor


def rows_as_wide(values: Tensor | None, width: int, name: str, like: Tensor) -> Tensor | None:
    """Return (n, width) rows in the precision and place of `like`, or None for None."""
    if values is None:
        return None
    rows = floating(values, name)
    if rows.ndim != 2 or rows.shape[1] != width or not len(rows):
        raise UserError(
            f"{name} must be (n, {width}) as wide as the support, not of shape "
            f"{tuple(rows.shape)}; embed both with one backbone."
        )
    return rows.to(like)
