"""Sherlock's comparison: does a model order inferences of a region as people do?

Hessel et al., ECCV 2022, section 4.3, and the leaderboard's scorer. Two annotators rate each of
about ten candidates on three levels. Against one of them, a model's accuracy over the pairs of
candidates rated differently is moved to [-1, 1], where 0 is chance; without such a pair it is 0.
The value of a region is the mean over its annotators, the result the mean over regions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from trifocal.regions.benchmarks.arrays import as_array

_CANDIDATES = 10


@dataclass(frozen=True)
class ComparisonScores:
    """Agreement with people in [-1, 1]; times 100 it is the leaderboard's "Human Acc"."""

    model: float  # the model's
    human: float  # of one annotator with the other: what a model can hope for
    oracle: float  # of the mean of both with each: the most that any order could reach, nearly
    n: int  # number of regions
    ties: int = 0  # regions with equal scores for candidates that an annotator tells apart


def comparison_metrics(scores: Sequence[Any], labels: Sequence[Any]) -> ComparisonScores:
    """Return the agreement of scores with annotators, and the two references.

    Args:
        scores: For each region, (K,) scores of its candidates.
        labels: For each region, (A, K) ratings by A annotators (two, in Sherlock).

    Raises:
        UserError: A score or rating is NaN.
        ValueError: There is no region, or the numbers of candidates differ.
    """
    if not scores or len(scores) != len(labels):
        raise ValueError(f"{len(scores)} lists of scores for {len(labels)} of ratings")
    ratings = [as_array(label, "ratings", 2) for label in labels]
    if any(len(annotators) < 2 for annotators in ratings):
        raise ValueError("a region with one annotator has no second to compare with")
    return ComparisonScores(
        model=model_agreement(scores, ratings),
        human=human_bound(ratings),
        oracle=oracle_bound(ratings),
        n=len(scores),
        ties=sum(map(_undecided, scores, ratings)),
    )


def model_agreement(scores: Sequence[Any], labels: Sequence[np.ndarray]) -> float:
    """Return the mean over regions of a model's agreement with each annotator."""
    means = []
    for one, annotators in zip(scores, labels, strict=True):
        values = as_array(one, "comparison scores", 1)
        means.append(np.mean([pair_agreement(values, label) for label in annotators]))
    return float(np.mean(means))


def human_bound(labels: Sequence[np.ndarray]) -> float:
    """Return the agreement of annotators with each other, in both directions."""
    means = []
    for annotators in labels:
        both = [
            pair_agreement(mine, theirs)
            for i, mine in enumerate(annotators)
            for j, theirs in enumerate(annotators)
            if i != j
        ]
        means.append(np.mean(both))
    return float(np.mean(means))


def oracle_bound(labels: Sequence[np.ndarray]) -> float:
    """Return the agreement of the annotators' mean rating with each of them."""
    return model_agreement([annotators.mean(axis=0) for annotators in labels], labels)


def pair_agreement(scores: np.ndarray, labels: np.ndarray) -> float:
    """Return 2 (accuracy - 1/2) over the pairs that `labels` tells apart, 0 without any.

    Args:
        scores: (K,) predictions. The leaderboard breaks their ties with one fixed noise vector.
        labels: (K,) one annotator's ratings.
    """
    if len(scores) != len(labels):
        raise ValueError(f"{len(scores)} scores for {len(labels)} ratings")
    scores = scores + _tie_noise(len(scores))
    first, second = np.triu_indices(len(labels), 1)
    told = labels[first] != labels[second]
    if not told.any():
        return 0.0
    same = (labels[first] < labels[second]) == (scores[first] < scores[second])
    return float(2 * (same[told].mean() - 0.5))


def _undecided(scores: Any, ratings: np.ndarray) -> bool:
    """Return whether two of K candidates have equal scores, and an annotator (A, K) prefers one."""
    values = as_array(scores, "comparison scores", 1)
    first, second = np.triu_indices(len(values), 1)
    told = (ratings[:, first] != ratings[:, second]).any(axis=0)
    return bool((told & (values[first] == values[second])).any())


@lru_cache
def _tie_noise(count: int) -> np.ndarray:
    """Return the scorer's noise: ten uniforms of NumPy's old generator at seed 1, made tiny."""
    # A longer draw begins with the same ten, which is all that the leaderboard has.
    old = np.random.RandomState(1)
    return old.random_sample(max(count, _CANDIDATES))[:count] / 1e9
