"""Arithmetic on rows of features that heads share: queries, sums over a class, lengths of texts."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from trifocal.concepts.support import unit

TEXT_LENGTH = 10.0  # about what CLIP's text towers give before texts are made unit
_BLOCK = 1 << 24  # numbers of a query x support matrix held at a time


def queries(features: Tensor, learned: Tensor) -> Tensor:
    """Return unit rows in the precision and on the device of what was learned."""
    return unit(features.to(learned))


def class_sums(values: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Return (D, n) sums of the rows of (N, n) values, support images, by their (N,) classes.

    Adding rows is several times faster than multiplying by one-hot labels.
    """
    return values.new_zeros(classes, values.shape[1]).index_add(0, labels, values)


def in_blocks(function: Callable[[Tensor], Tensor], features: Tensor, width: int) -> Tensor:
    """Return what a function from (b, d) to (b, D) gives for (n, d) rows, in blocks.

    `width` counts the numbers that the function holds for a row, which bound the memory.
    """
    rows = max(1, _BLOCK // max(1, width))
    if len(features) <= rows:
        return function(features)
    return torch.cat([function(part) for part in features.split(rows)])


def long_text(text: Tensor) -> Tensor:
    """Return class texts (D, d) as long as CLIP's text tower makes them.

    TaskRes, ZS-LP and CLAP learn offsets to texts that are not made unit, so that their learning
    rates fit texts of this length. Texts that come as unit rows are made `TEXT_LENGTH` long.
    """
    is_unit = bool(((text.norm(dim=1) - 1).abs() < 1e-2).all())
    return TEXT_LENGTH * unit(text) if is_unit else text
