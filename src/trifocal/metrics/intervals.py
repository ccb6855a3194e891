"""How far a measured share can be trusted: intervals and paired differences.

Wilson's score interval (Wilson, 1927) for one share, the percentile bootstrap (Efron, 1979) for
any mean, the same for the difference of two models on the same questions (which is far sharper
than comparing their intervals, because both stumble over the same hard questions), and Student's
interval for a few seeds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special


@dataclass(frozen=True)
class Interval:
    """An estimate with the ends of its confidence interval."""

    value: float
    low: float
    high: float

    @property
    def half(self) -> float:
        """Half of the width, for printing "value ± half"."""
        return (self.high - self.low) / 2


@dataclass(frozen=True)
class Difference(Interval):
    """A paired difference; `p` is the two-sided bootstrap p-value of "no difference"."""

    p: float = 1.0


def wilson(value: float, n: int, level: float = 0.95) -> Interval:
    """Return Wilson's interval of a share `value` in [0, 1] that was measured on n questions."""
    if n <= 0:
        return Interval(value, 0.0, 1.0)
    z = float(special.ndtri(0.5 + level / 2))
    spread = z * math.sqrt(value * (1 - value) / n + z * z / (4 * n * n))
    middle = value + z * z / (2 * n)
    scale = 1 + z * z / n
    return Interval(value, max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale))


def _means(values: np.ndarray, samples: int, seed: int) -> np.ndarray:
    """Return (samples,) means of `values` (N,) drawn with replacement, a block at a time."""
    rng = np.random.default_rng(seed)
    means = np.empty(samples)
    block = max(1, 2_000_000 // max(1, len(values)))  # bounds the index array to 16 MB
    for start in range(0, samples, block):
        stop = min(samples, start + block)
        means[start:stop] = values[rng.integers(0, len(values), (stop - start, len(values)))].mean(
            1
        )
    return means


def bootstrap(
    values: Sequence[float] | np.ndarray, *, level: float = 0.95, samples: int = 2000, seed: int = 0
) -> Interval:
    """Return the percentile bootstrap interval of the mean of `values` (one a question)."""
    array = np.asarray(values, dtype=float)
    if array.ndim != 1 or not len(array):
        raise ValueError(f"values must be a non-empty list of numbers, got shape {array.shape}")
    low, high = np.quantile(_means(array, samples, seed), [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(array.mean()), float(low), float(high))


def paired_bootstrap(
    after: Sequence[float] | np.ndarray,
    before: Sequence[float] | np.ndarray,
    *,
    level: float = 0.95,
    samples: int = 2000,
    seed: int = 0,
) -> Difference:
    """Return the mean of `after - before` on the same questions, with interval and p-value."""
    a, b = np.asarray(after, dtype=float), np.asarray(before, dtype=float)
    if a.shape != b.shape or a.ndim != 1 or not len(a):
        raise ValueError(f"need two equally long lists of numbers, got {a.shape} and {b.shape}")
    difference = a - b
    return drawn_difference(float(difference.mean()), _means(difference, samples, seed), level)


def drawn_difference(value: float, drawn: np.ndarray, level: float = 0.95) -> Difference:
    """Return a difference whose values in draws of the bootstrap are (S,), with interval and p-value."""
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    # One is added to both counts, so that no finite number of samples can claim p = 0.
    below, above = ((1 + int(side.sum())) / (len(drawn) + 1) for side in (drawn <= 0, drawn >= 0))
    return Difference(value, float(low), float(high), min(1.0, 2 * min(below, above)))


def over_seeds(values: Sequence[float], level: float = 0.95) -> Interval:
    """Return the mean over a few runs with Student's interval; one run gives no width."""
    array = np.asarray(values, dtype=float)
    mean = float(array.mean())
    if len(array) < 2:
        return Interval(mean, mean, mean)
    t = float(special.stdtrit(len(array) - 1, 0.5 + level / 2))
    half = t * float(array.std(ddof=1)) / math.sqrt(len(array))
    return Interval(mean, mean - half, mean + half)
