"""What readers of labeled pictures return, whatever form these were published in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from trifocal.errors import UserError
from trifocal.features.identity import Picture


@dataclass(frozen=True)
class Labeled:
    """N test pictures and their classes.

    Attributes:
        images: The pictures.
        labels: (N,) numbers of classes; empty where a picture may have several.
        classnames: Their names, where the form has them.
        positives: (N, C) bool: which classes each picture has, where it may have several.
        part: What the publisher calls the part, where it is not "test".
    """

    images: Sequence[Picture]
    labels: Sequence[int]
    classnames: tuple[str, ...] | None = None
    positives: Tensor | None = None
    part: str = "test"


def several_classes(rows: Sequence[Sequence[float]], source: str) -> Tensor:
    """Return (N, C) bool of rows of zeros and ones, C the same for all.

    Raises:
        UserError: they are something else.
    """
    widths = {len(row) for row in rows}
    if len(widths) != 1 or any(value not in (0, 1) for row in rows for value in row):
        raise UserError(f"{source} has targets that are no rows of zeros and ones; fetch it anew.")
    return torch.tensor([list(row) for row in rows]) == 1
