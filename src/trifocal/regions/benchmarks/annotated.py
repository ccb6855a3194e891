"""Sherlock's retrieval and localization, made from an annotation file alone.

The validation file names the retrieval fold of every instance, and the instances of a picture are
its GT-Box test, so both need no leaderboard files. Auto-Box needs a detector's boxes besides.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from trifocal.data.regions import Box, Region
from trifocal.data.sherlock_files import Instance
from trifocal.regions.benchmarks.localization import (
    AutoPairs,
    LocalizationScores,
    localization_metrics,
    region_iou,
)
from trifocal.regions.benchmarks.pool import Embedded, Pool
from trifocal.regions.benchmarks.retrieval import (
    RetrievalScores,
    mean_over_folds,
    retrieval_metrics,
)

FOLD_SIZE = 1000


@dataclass(frozen=True)
class Annotated:
    """The questions of an annotation file, as numbers of a pool."""

    region: np.ndarray  # (N,) region of each instance
    text: np.ndarray  # (N,) its inference
    folds: list[np.ndarray]  # instances of each retrieval fold
    pictures: list[np.ndarray]  # instances of each picture
    # Region and inference of each pair of Auto-Box (P,), the IoU (P,) and question (P,) it has, and
    # the picture of each question (Q,); None without proposals.
    auto: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray] | None
    own_folds: bool  # the file itself says which fold an instance is in

    def without(self, bad: np.ndarray) -> Annotated:
        """Return the questions but for those of some instances (N,) bool, all of a picture."""
        folds = [fold[~bad[fold]] for fold in self.folds]
        pictures = [picture for picture in self.pictures if not bad[picture].any()]
        auto = None
        if self.auto is not None:
            region, text, iou, question, image = self.auto
            kept, number = ~bad[question], np.cumsum(~bad) - 1
            columns = region[kept], text[kept], iou[kept], number[question[kept]]
            auto = *columns, image[~bad]
        return replace(self, folds=[one for one in folds if len(one)], pictures=pictures, auto=auto)

    def retrieval(self, embedded: Embedded) -> RetrievalScores:
        """Return the means over folds."""
        return mean_over_folds(
            [
                retrieval_metrics(embedded.matrix(self.region[fold], self.text[fold]))
                for fold in self.folds
            ]
        )

    def localization(self, embedded: Embedded) -> LocalizationScores:
        """Return GT-Box and, with proposals, Auto-Box."""
        pairs = None
        if self.auto is not None:
            region, text, iou, question, image = self.auto
            scores = embedded.pairs(region, text, image[question])
            pairs = AutoPairs(scores, iou, question, image)
        matrices = (
            embedded.matrix(self.region[picture], self.text[picture]) for picture in self.pictures
        )
        return localization_metrics(matrices, pairs)


def annotated(
    instances: Sequence[Instance],
    pool: Pool,
    *,
    proposals: Mapping[str, Sequence[Box]] | None = None,
    folds: Sequence[int] | None = None,
) -> Annotated:
    """Turn one or more instances into questions; the pool takes up their regions and inferences.

    A detector's proposals are by picture URL; by default they are the instances' own, if any.
    Without `folds`, all retrieval folds are scored.
    """
    region = np.array([pool.region(one.item.region) for one in instances])
    text = np.array([pool.text(one.item.inference) for one in instances])
    own_folds = all(one.fold is not None for one in instances)
    split = _fold_numbers(instances) if own_folds else _even_folds(len(instances))
    chosen = [number for number in np.unique(split) if folds is None or number in folds]
    pictures: dict[str, list[int]] = {}
    for i, one in enumerate(instances):
        pictures.setdefault(one.url, []).append(i)
    return Annotated(
        region=region,
        text=text,
        folds=[np.flatnonzero(split == number) for number in chosen],
        pictures=[np.array(members) for members in pictures.values()],
        auto=_auto_pairs(instances, text, pool, proposals),
        own_folds=own_folds,
    )


def _fold_numbers(instances: Sequence[Instance]) -> np.ndarray:
    return np.array([one.fold for one in instances])


def _even_folds(count: int) -> np.ndarray:
    """Return folds of at most a thousand, nearly equal, in the order of the file."""
    return np.arange(count) * math.ceil(count / FOLD_SIZE) // count


def _auto_pairs(
    instances: Sequence[Instance],
    text: np.ndarray,
    pool: Pool,
    proposals: Mapping[str, Sequence[Box]] | None,
) -> Any:
    """Return the columns of `Annotated.auto`, or None where no instance has proposals."""
    pictures: dict[str, int] = {}
    known: dict[Any, np.ndarray] = {}
    columns: list[tuple[np.ndarray, ...]] = []
    image = []
    for question, one in enumerate(instances):
        image.append(pictures.setdefault(one.url, len(pictures)))
        found = one.item.proposals if proposals is None else tuple(proposals.get(one.url, ()))
        if not found:
            continue
        region = one.item.region
        key = (one.url, region.frame, found)
        if key not in known:
            singles = [Region(region.image, (box,), region.frame) for box in found]
            known[key] = np.array([pool.region(single) for single in singles])
        numbers = known[key]
        iou = region_iou(np.array(found), region.boxes)
        columns.append(
            (numbers, np.full(len(numbers), text[question]), iou, np.full(len(numbers), question))
        )
    if not columns:
        return None
    return *(np.concatenate(part) for part in zip(*columns, strict=True)), np.array(image)
