"""Composition at equal cost: what a method buys where it has lost as much as another one.

Two tuned models are hard to compare when one gained more and lost more. Their WiSE-FT curves (see
`curve`) can be: each is read where zero-shot accuracy and retrieval have lost so many points against
the base: on average, or the worse of the two. (Training on captions often adds recall on captions
of that sort, which on average hides what naming loses.) The difference of two methods there has an interval by the bootstrap
(Efron, 1979): questions are drawn with replacement, the same ones for both methods and for every
point of their curves, and both curves are read again; where methods were trained with several
seeds, seeds are drawn as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from trifocal.evaluate.curve import CurvePoint
from trifocal.evaluate.summary import part_of
from trifocal.metrics.intervals import Difference, drawn_difference
from trifocal.metrics.result import Result

Curve = Sequence[CurvePoint]  # one run's, the base first
GAINED = "composition"
KEPT = ("zero_shot", "retrieval")  # what must not be lost
Cost = Literal[
    "mean", "worst"
]  # of what is kept, and so lost: their mean, or the one that lost most


def lost(curve: Curve, cost: Cost = "mean") -> float:
    """Return what the end of a curve has lost against its base, a fraction."""
    return -float(_summaries(curve, {}, cost)[1][0, -1])


def at_price(curve: Curve, price: float, cost: Cost = "mean") -> float:
    """Return the composition where a curve has first lost `price`, as fractions.

    Between two points the curve is a straight line. One that never loses as much is read at its
    last point.
    """
    return float(_read(np.ones((1, 1)), [curve], price, {}, cost).item())


def difference_at_price(
    one: Sequence[Curve],
    other: Sequence[Curve],
    price: float,
    cost: Cost = "mean",
    *,
    level: float = 0.95,
    samples: int = 2000,
    seed: int = 0,
) -> Difference:
    """Return how much more composition method `one` has than `other` at equal cost.

    Args:
        one: A curve for each of R training seeds, all at the same positions, with rows that hold
            their marks.
        other: As many, of the same seeds.
        price: What may be lost, a fraction; see `at_price`.
        cost: What of.
        level: Of the interval.
        samples: How often questions are drawn.
        seed: Of the draws.
    """
    if len(one) != len(other) or not one:
        raise ValueError(f"two methods are compared seed by seed, not {len(one)} with {len(other)}")
    rng = np.random.default_rng(seed)
    runs = len(one)
    # How often a seed is drawn, (samples, R); a single one is always there.
    seeds = rng.multinomial(runs, np.full(runs, 1 / runs), samples)
    drawn: dict[str, np.ndarray] = {}
    for row in one[0][0].rows:
        if part_of(row):
            # How often each question is drawn, (samples, n).
            drawn[_name(row)] = rng.multinomial(row.n, np.full(row.n, 1 / row.n), samples)
    found = _read(seeds, one, price, drawn, cost) - _read(seeds, other, price, drawn, cost)
    value = np.mean([at_price(curve, price, cost) for curve in one]) - np.mean(
        [at_price(curve, price, cost) for curve in other]
    )
    return drawn_difference(float(value), found, level)


def _name(row: Result) -> str:
    return "/".join(row.key)


def _read(
    seeds: np.ndarray,
    curves: Sequence[Curve],
    price: float,
    drawn: dict[str, np.ndarray],
    cost: Cost,
) -> np.ndarray:
    """Return the composition at a price in each of S draws, the mean over runs, (S,).

    Args:
        seeds: How often each run is drawn, (S, R).
        curves: R of them.
        price, cost: See `at_price`.
        drawn: How often each question of a row is drawn, (S, n); none for the rows' own values.
    """
    bought = np.stack([_cross(*_summaries(curve, drawn, cost), price) for curve in curves], axis=1)
    return (seeds * bought).sum(1) / seeds.sum(1)


def _summaries(
    curve: Curve, drawn: dict[str, np.ndarray], cost: Cost
) -> tuple[np.ndarray, np.ndarray]:
    """Return the composition, and how what is kept has changed, both (S, A): draws, points."""
    gained, kept = [], []
    for point in curve:
        values: dict[str, list[np.ndarray]] = {}
        for row in point.rows:
            part = part_of(row)
            if part:
                values.setdefault(part, []).append(_value(row, drawn))
        parts = {part: np.mean(found, axis=0) for part, found in values.items()}
        if "i2t" in parts and "t2i" in parts:
            parts["retrieval"] = (parts["i2t"] + parts["t2i"]) / 2
        gained.append(parts[GAINED])
        kept.append(np.stack([parts[name] for name in KEPT if name in parts]))
    changes = np.stack(kept, axis=-1) - kept[0][..., None]  # (of KEPT, S, A)
    return np.stack(gained, axis=1), changes.mean(0) if cost == "mean" else changes.min(0)


def _value(row: Result, drawn: dict[str, np.ndarray]) -> np.ndarray:
    """Return a row's value in each draw, (S,), or as it is, (1,)."""
    if not drawn:
        return np.array([row.value])
    if row.marks is None:
        raise ValueError(f"{_name(row)} has no marks, so its questions cannot be drawn")
    return drawn[_name(row)] @ row.marks.numpy() / row.n


def _cross(gained: np.ndarray, kept: np.ndarray, price: float) -> np.ndarray:
    """Return what is gained where a curve first passes below what it kept at first, less a price.

    Args:
        gained, kept: (S, A), the base first.
    """
    limit = kept[:, :1] - price
    passes = (kept[:, :-1] >= limit) & (kept[:, 1:] < limit)  # (S, A - 1)
    rows, step = np.arange(len(kept)), passes.argmax(1)
    before, after = kept[rows, step], kept[rows, step + 1]
    share = (before - limit[:, 0]) / np.where(before > after, before - after, 1)
    between = gained[rows, step] + share * (gained[rows, step + 1] - gained[rows, step])
    return np.where(passes.any(1), between, gained[:, -1])
