"""Sherlock's localization: which region of the picture does an inference come from?

Hessel et al., ECCV 2022, section 4.2, and the leaderboard's scorer. GT-Box gives the n annotated
regions of a picture to its n inferences one to one, so that the total score is greatest. Auto-Box
takes the best-scoring of a detector's boxes for each inference; it is right if its IoU with the
true region is above one half. Both are averaged within a picture, then over pictures.

Ties. A model that does not see the region gives all regions of a picture the same scores, and then
the order in which a solver meets them decides: the leaderboard's own solver never returns the true
order (0 %), SciPy's returns nothing else where all scores are equal (100 %). Neither is a property
of the model. A noise of 1e-6 puts such a model where it belongs, at chance.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from trifocal.data.regions import Box
from trifocal.errors import UserError
from trifocal.regions.benchmarks.arrays import as_array

THRESHOLD = 0.5
TIE_NOISE = 1e-6


@dataclass(frozen=True)
class AutoPairs:
    """Scores of inferences with a detector's boxes, all pictures in one list."""

    score: np.ndarray  # (P,) score of an inference with a box
    iou: np.ndarray  # (P,) IoU of that box with the inference's true region
    # (P,) index of the inference, 0 to Q-1; among equal scores the first pair wins.
    question: np.ndarray
    # (Q,) picture of each inference, any integers. An inference without a pair is wrong.
    image: np.ndarray


@dataclass(frozen=True)
class LocalizationScores:
    """Accuracies in [0, 1], means over pictures; those without data are None."""

    gt_box: float | None
    gt_chance: float | None  # what random scores give for it
    gt_images: int  # number of pictures behind it
    auto_box: float | None
    auto_chance: float | None  # what a random box gives
    oracle: float | None  # what the best box gives
    auto_images: int  # number of pictures behind these
    tie_noise: float  # size of the noise that broke ties in GT-Box; 0 for none
    seed: int  # of that noise
    gt_ties: int = 0  # pictures with an inference whose own region scores as another does
    auto_ties: int = 0  # questions whose best score several boxes have


def localization_metrics(
    ground_truth: Iterable[Any] = (),
    auto: AutoPairs | None = None,
    *,
    tie_noise: float = TIE_NOISE,
    seed: int = 0,
) -> LocalizationScores:
    """Return GT-Box, Auto-Box and the oracle.

    Args:
        ground_truth: One (n, n) matrix a picture, entry [k, j] the score of region k with
            inference j; inference j belongs to region j.
        auto: Scores with a detector's boxes.
        tie_noise: Uniform noise up to this is added before the assignment; 0 leaves ties to
            SciPy's solver.
        seed: Seed of the noise.

    Raises:
        UserError: A score is NaN.
        ValueError: A matrix is not square, or is empty.
    """
    matrices = [as_array(scores, "localization scores", 2) for scores in ground_truth]
    rng = np.random.default_rng(seed)
    right = [gt_box_accuracy(matrix, tie_noise, rng) for matrix in matrices]
    chance = [1 / len(matrix) for matrix in matrices]  # one hit is expected of a random order
    auto_box = auto_chance = oracle = None
    pictures = auto_ties = 0
    if auto is not None and len(auto.image):
        outcome = auto_box_outcome(auto)
        auto_box, oracle, auto_chance = (
            _mean_over_images(values, auto.image) for values in outcome[:3]
        )
        auto_ties = int(outcome[3].sum())
        pictures = len(np.unique(auto.image))
    return LocalizationScores(
        gt_box=float(np.mean(right)) if right else None,
        gt_chance=float(np.mean(chance)) if right else None,
        gt_images=len(right),
        auto_box=auto_box,
        auto_chance=auto_chance,
        oracle=oracle,
        auto_images=pictures,
        tie_noise=tie_noise,
        seed=seed,
        gt_ties=sum(_own_is_tied(matrix) for matrix in matrices),
        auto_ties=auto_ties,
    )


def gt_box_accuracy(scores: np.ndarray, tie_noise: float, rng: np.random.Generator) -> float:
    """Return the share of a picture's n regions that get their own inference; (n, n) scores."""
    if scores.shape[0] != scores.shape[1] or not len(scores):
        raise ValueError(f"a picture's scores must be square, not {scores.shape}")
    if not np.isfinite(scores).all():
        raise UserError("localization scores hold infinity, so no total is the greatest")
    if tie_noise:
        scores = scores + rng.random(scores.shape) * tie_noise
    _, columns = linear_sum_assignment(scores, maximize=True)
    return float(np.mean(columns == np.arange(len(columns))))


def _own_is_tied(scores: np.ndarray) -> bool:
    """Return whether a region of (n, n) scores has another inference at the score of its own."""
    own = np.diagonal(scores)
    return bool(((scores == own[:, None]) | (scores == own)).sum() > len(own))


def auto_box_outcome(pairs: AutoPairs) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return (Q,) each: the first of the best-scoring boxes is right; the best one is; the share of
    boxes that are; several boxes have the best score.
    """
    score = as_array(pairs.score, "localization scores", 1)
    hit = as_array(pairs.iou, "IoUs", 1) > THRESHOLD
    questions = len(pairs.image)
    right, oracle, chance, tied = (np.zeros(questions) for _ in range(4))
    if not len(score):
        return right, oracle, chance, tied
    order = np.argsort(pairs.question, kind="stable")  # first pairs stay first
    score, hit, question = score[order], hit[order], pairs.question[order]
    starts = np.flatnonzero(np.r_[True, question[1:] != question[:-1]])
    lengths = np.diff(np.r_[starts, len(question)])
    at_top = score == np.repeat(np.maximum.reduceat(score, starts), lengths)
    place = np.where(at_top, np.arange(len(score)), len(score))
    chosen = np.minimum.reduceat(place, starts)
    asked = question[starts]
    right[asked] = hit[chosen]
    oracle[asked] = np.logical_or.reduceat(hit, starts)
    chance[asked] = np.add.reduceat(hit.astype(float), starts) / lengths
    tied[asked] = np.add.reduceat(at_top, starts, dtype=int) > 1
    return right, oracle, chance, tied


def _mean_over_images(values: np.ndarray, image: np.ndarray) -> float:
    """Return the mean over pictures of the mean within each."""
    _, group = np.unique(image, return_inverse=True)
    return float((np.bincount(group, values) / np.bincount(group)).mean())


def region_iou(boxes: np.ndarray, region: Sequence[Box]) -> np.ndarray:
    """Return (N,) IoU of N boxes with a region, the union of its own boxes.

    Boxes are (N, 4) left, top, width, height; where those of the region overlap, the area counts
    once.
    """
    boxes, parts = np.asarray(boxes, dtype=float).reshape(-1, 4), np.asarray(region, dtype=float)
    x = np.unique(np.r_[parts[:, 0], parts[:, 0] + parts[:, 2]])
    y = np.unique(np.r_[parts[:, 1], parts[:, 1] + parts[:, 3]])
    # The edges cut the plane into cells that the region covers wholly or not at all.
    across = (parts[:, :1] <= x[:-1]) & (x[1:] <= (parts[:, 0] + parts[:, 2])[:, None])
    down = (parts[:, 1:2] <= y[:-1]) & (y[1:] <= (parts[:, 1] + parts[:, 3])[:, None])
    covered = (down[:, :, None] & across[:, None, :]).any(0).astype(float)  # (rows, columns)
    wide = _overlap(boxes[:, 0], boxes[:, 2], x)  # (N, columns)
    high = _overlap(boxes[:, 1], boxes[:, 3], y)  # (N, rows)
    shared = np.einsum("nr,rc,nc->n", high, covered, wide)
    area = float(np.diff(y) @ covered @ np.diff(x))
    return shared / (area + boxes[:, 2] * boxes[:, 3] - shared)


def _overlap(start: np.ndarray, length: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return (N, E-1) lengths that N intervals share with those between E edges."""
    low = np.maximum(start[:, None], edges[:-1])
    high = np.minimum((start + length)[:, None], edges[1:])
    return np.maximum(high - low, 0)
