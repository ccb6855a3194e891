"""Base-to-new: fit to half of the classes, test on these and on the other half.

CoCoOp (Zhou et al., arXiv 2203.05557): of D sorted classes the first ceil(D/2) are base, the rest
new. Each half is tested among its own classes only. Both are summed up by their harmonic mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from trifocal.concepts.datasets.dataset import LabeledImage
from trifocal.errors import UserError


def halves(classes: int) -> tuple[range, range]:
    """Return the labels of the base classes and of the new ones, of `classes` in all.

    Raises:
        UserError: there are fewer than two.
    """
    if classes < 2:
        raise UserError(f"base-to-new needs at least two classes, not {classes}.")
    middle = (classes + 1) // 2
    return range(middle), range(middle, classes)


def restrict(items: Iterable[LabeledImage], labels: Sequence[int]) -> list[LabeledImage]:
    """Return the pictures of some classes, numbered from 0 on in the order of `labels`."""
    numbers = {label: number for number, label in enumerate(labels)}
    return [replace(one, label=numbers[one.label]) for one in items if one.label in numbers]


def harmonic(base: float, new: float) -> float:
    """Return H = 2 b n / (b + n) of two accuracies; 0 if both are 0."""
    return 2 * base * new / (base + new) if base + new else 0.0


@dataclass(frozen=True)
class Averages:
    """What a table of base-to-new accuracies comes to."""

    base: float  # mean over data sets
    new: float  # mean over data sets
    h_of_averages: float  # H of these two means, as CoOp, CoCoOp and MaPLe report it
    average_of_h: float  # mean of the data sets' H, which some tables print in its place


def averages(pairs: Sequence[tuple[float, float]]) -> Averages:
    """Average base and new accuracies, a pair a data set.

    Raises:
        UserError: there is no pair.
    """
    if not pairs:
        raise UserError("there are no base and new accuracies to average.")
    count = len(pairs)
    base = sum(b for b, _ in pairs) / count
    new = sum(n for _, n in pairs) / count
    mean_h = sum(harmonic(b, n) for b, n in pairs) / count
    return Averages(base, new, harmonic(base, new), mean_h)
