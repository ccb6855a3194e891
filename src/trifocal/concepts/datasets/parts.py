"""Training, validation and test parts where a data set comes without them.

CoOp (Zhou et al., arXiv 2109.01134) divides such sets class by class, 50 % for training, 20 % for
validation, 30 % for test; these are our defaults too.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from trifocal.concepts.datasets.dataset import LabeledImage
from trifocal.errors import UserError

VAL, TEST = 0.2, 0.3

Parts = tuple[list[LabeledImage], list[LabeledImage], list[LabeledImage]]


def divide(
    items: Sequence[LabeledImage], val: float = VAL, test: float = TEST, seed: int = 1
) -> Parts:
    """Divide pictures into train, val and test, class by class.

    The same pictures, shares and seed give the same parts, and another class more changes nothing
    for the rest. Each part keeps the order of `items`.

    Args:
        items: All pictures.
        val: Share of a class for validation, rounded.
        test: Share of a class for test, rounded. At least one picture is left for training: a
            class of one has that only, a class of two has no validation picture.
        seed: Of the shuffle.

    Raises:
        UserError: the shares are negative, or leave nothing to train on.
    """
    if val < 0 or test < 0 or val + test >= 1:
        raise UserError(
            f"the shares val={val} and test={test} must not be negative, and leave something "
            "for training."
        )
    classes: dict[int, list[int]] = {}
    for index, item in enumerate(items):
        classes.setdefault(item.label, []).append(index)
    part_of: dict[int, int] = {}
    for indices in classes.values():
        random.Random(seed).shuffle(indices)
        for_val, for_test = _sizes(len(indices), val, test)
        for place, index in enumerate(indices):
            part_of[index] = 2 if place < for_test else 1 if place < for_test + for_val else 0
    parts: Parts = ([], [], [])
    for index, item in enumerate(items):
        parts[part_of[index]].append(item)
    return parts


def _sizes(count: int, val: float, test: float) -> tuple[int, int]:
    """Return how many of `count` pictures are for validation and for test."""
    for_test = min(int(test * count + 0.5), count - 1)
    return min(int(val * count + 0.5), count - 1 - for_test), for_test
