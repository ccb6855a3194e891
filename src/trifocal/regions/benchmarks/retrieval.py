"""Sherlock's retrieval: where does a region's own inference stand among a thousand?

Hessel et al., ECCV 2022, section 4.1, and the leaderboard's scorer. Within a fold of N regions
with one inference each, the right answer's place counts from 1, and equal scores share their mean
place. Only exact equality is a tie, and a shared first place is a miss for P@1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from trifocal.regions.benchmarks.arrays import as_array


@dataclass(frozen=True)
class RetrievalScores:
    """The three numbers of a fold, or their means over folds."""

    im2txt: float  # mean place of a region's own inference among all inferences; 1 is best
    txt2im: float  # mean place of an inference's own region among all regions
    p_at_1: float  # share of regions whose own inference is alone at the top, in [0, 1]
    n: int  # number of regions
    chance_rank: float  # what random scores give for the two places
    chance_p_at_1: float  # what they give for `p_at_1`
    ties_to_text: int = 0  # number of regions whose own inference shares its score with another
    ties_to_image: int = 0  # number of inferences whose own region does
    ties_at_top: int = 0  # number of regions whose own inference shares the first place


def retrieval_metrics(scores: Any) -> RetrievalScores:
    """Return the numbers of one fold.

    Args:
        scores: (N, N), entry [i, j] is the score of region i with inference j; own ones are on
            the diagonal.

    Raises:
        UserError: A score is NaN.
        ValueError: The matrix is empty or not square.
    """
    matrix = as_array(scores, "retrieval scores", 2)
    n = len(matrix)
    if n == 0 or matrix.shape != (n, n):
        raise ValueError(f"retrieval scores must be square, not {matrix.shape}")
    to_text, to_image = own_ranks(matrix), own_ranks(matrix.T)
    tied = _level(matrix) > 1
    return RetrievalScores(
        im2txt=float(to_text.mean()),
        txt2im=float(to_image.mean()),
        p_at_1=float((to_text == 1).mean()),
        n=n,
        chance_rank=(n + 1) / 2,
        chance_p_at_1=1 / n,
        ties_to_text=int(np.count_nonzero(tied)),
        ties_to_image=int(np.count_nonzero(_level(matrix.T) > 1)),
        ties_at_top=int(np.count_nonzero(tied & (np.diagonal(matrix) == matrix.max(axis=1)))),
    )


def own_ranks(scores: np.ndarray) -> np.ndarray:
    """Return (N,) places from 1 of the diagonal in its rows; ties share their mean place.

    It is what ranking every row would give, by counting.
    """
    above = np.count_nonzero(scores > np.diagonal(scores)[:, None], axis=1)
    return 1 + above + (_level(scores) - 1) / 2


def _level(scores: np.ndarray) -> np.ndarray:
    """Return (N,) how many in each row equal the diagonal's score, itself included."""
    return np.count_nonzero(scores == np.diagonal(scores)[:, None], axis=1)


def mean_over_folds(folds: Sequence[RetrievalScores]) -> RetrievalScores:
    """Return the unweighted means over folds, which the leaderboard reports; `n` is their sum."""
    if not folds:
        raise ValueError("there is no fold to average")

    def mean(name: str) -> float:
        return float(np.mean([getattr(fold, name) for fold in folds]))

    return RetrievalScores(
        mean("im2txt"),
        mean("txt2im"),
        mean("p_at_1"),
        sum(fold.n for fold in folds),
        mean("chance_rank"),
        mean("chance_p_at_1"),
        sum(fold.ties_to_text for fold in folds),
        sum(fold.ties_to_image for fold in folds),
        sum(fold.ties_at_top for fold in folds),
    )
