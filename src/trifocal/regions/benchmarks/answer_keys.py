"""The answers of Sherlock's validation archives, and the numbers they give to a list of scores.

Formats: github.com/allenai/sherlock, folder leaderboard_eval (Hessel et al., ECCV 2022). A key
names instances by `test_id`; here they are places in the sorted list of these, the order in which
scores are handed in.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trifocal.data.json_stream import json_mapping
from trifocal.errors import UserError
from trifocal.regions.benchmarks.comparison import ComparisonScores, comparison_metrics
from trifocal.regions.benchmarks.localization import (
    AutoPairs,
    LocalizationScores,
    localization_metrics,
)
from trifocal.regions.benchmarks.retrieval import RetrievalScores, retrieval_metrics


@dataclass(frozen=True)
class RetrievalKey:
    """Where each of N x N scores belongs: (P,) rows (regions) and columns (inferences)."""

    row: np.ndarray
    column: np.ndarray
    n: int


@dataclass(frozen=True)
class LocalizationKey:
    """The answers, in the order of the answer key, which decides among equal scores."""

    gt: np.ndarray  # (G, 4) score's place, picture, region's index, inference's own region's index
    # Score's place (A,), IoU (A,), inference (A,), and picture of each inference (Q,).
    auto: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class ComparisonKey:
    """For each region the places of its candidates' scores (K,), and ratings (2, K)."""

    places: list[np.ndarray]
    labels: list[np.ndarray]


Key = RetrievalKey | LocalizationKey | ComparisonKey


def read_key(name: str, path: Path, ids: list[str]) -> Key:
    """Read an answer key for the instances with these sorted ids.

    Raises:
        UserError: It is of another format, or answers for other instances.
    """
    place = {test_id: i for i, test_id in enumerate(ids)}
    if name == "comparison":
        return _comparison_key(path, place)
    if name == "localization":
        return _localization_key(path, place)
    return _retrieval_key(path, place)


def _retrieval_key(path: Path, place: dict[str, int]) -> RetrievalKey:
    """{test_id: [instance_id of the region, instance_id of the inference]}"""
    row, column = np.full((2, len(place)), -1, dtype=np.int32)
    names: dict[str, int] = {}
    test_id = ""
    try:
        for test_id, (region, inference) in json_mapping(path):
            at = place[test_id]
            row[at] = names.setdefault(region, len(names))
            column[at] = names.setdefault(inference, len(names))
    except FAULTS as error:
        raise named_fault(error, path, test_id) from None
    n = len(names)
    cells = np.unique(row.astype(np.int64) * n + column)
    if len(cells) != len(place) or n * n != len(place) or row.min() < 0:
        raise UserError(
            f"{path} must pair each of its {n} regions with each inference once, and has "
            f"{len(place)} pairs; get both files of the fold again"
        )
    return RetrievalKey(row, column, n)


def _localization_key(path: Path, place: dict[str, int]) -> LocalizationKey:
    """{test_id: {type, image, inst_id, bbox_idx, correct or IoU}}"""
    pictures: dict[str, int] = {}
    own: dict[tuple[int, str], int] = {}  # region of an inference, by picture and inst_id
    auto_question: dict[tuple[int, str], int] = {}
    gt: list[tuple[int, int, int, tuple[int, str]]] = []
    auto_place, iou, question = array("i"), array("d"), array("i")
    test_id = ""
    try:
        for test_id, answer in json_mapping(path):
            at = place[test_id]
            picture = pictures.setdefault(answer["image"], len(pictures))
            inference = (picture, answer["inst_id"])
            if answer["type"] == "gt":
                gt.append((at, picture, int(answer["bbox_idx"]), inference))
                if answer["correct"]:
                    own[inference] = int(answer["bbox_idx"])
            elif answer["type"] == "auto":
                auto_place.append(at)
                iou.append(float(answer["IoU"]))
                question.append(auto_question.setdefault(inference, len(auto_question)))
            else:
                raise ValueError(f"has the type {answer['type']!r}, which is neither gt nor auto")
        table = [(at, image, row, own[inference]) for at, image, row, inference in gt]
    except FAULTS as error:
        raise named_fault(error, path, test_id) from None
    _check_squares(path, table)
    return LocalizationKey(
        np.array(table, dtype=np.int64).reshape(-1, 4),
        (
            np.array(auto_place, dtype=np.int32),
            np.array(iou),
            np.array(question, dtype=np.int32),
            np.array([picture for picture, _ in auto_question], dtype=np.int32),
        ),
    )


def _check_squares(path: Path, table: list[tuple[int, int, int, int]]) -> None:
    """Refuse a key in which a picture's regions and inferences do not pair one to one."""
    cells: dict[int, set[tuple[int, int]]] = {}
    count: Counter[int] = Counter()
    for _, picture, row, column in table:
        cells.setdefault(picture, set()).add((row, column))
        count[picture] += 1
    for picture, found in cells.items():
        n = math.isqrt(len(found))
        whole = {(row, column) for row in range(n) for column in range(n)}
        if found != whole or count[picture] != len(found):
            raise UserError(
                f"{path}: a picture's regions do not each meet each inference once; get it again"
            )


def _comparison_key(path: Path, place: dict[str, int]) -> ComparisonKey:
    """{test_id_map: {test_id: {Input_iid, candidate}}, annotations: [{Input_iid, candidates}]}"""
    label = ""
    try:
        content = dict(json_mapping(path))
        candidates = {}
        for label, one in content["test_id_map"].items():
            candidates[one["Input_iid"], one["candidate"]] = place[label]
        places, labels = [], []
        for one in content["annotations"]:
            label = f"annotation of {one['Input_iid']}"
            rated = one["candidates"]
            found = [candidates[one["Input_iid"], c["source_iid"]] for c in rated]
            places.append(np.array(found, dtype=np.int32))
            ratings = [[float(c[name]) for c in rated] for name in ("annot1", "annot2")]
            labels.append(np.array(ratings))
    except FAULTS as error:
        raise named_fault(error, path, label) from None
    if not places:
        raise UserError(f"{path} holds no annotations")
    return ComparisonKey(places, labels)


def retrieval_scores(scores: np.ndarray, key: RetrievalKey) -> RetrievalScores:
    """Return the numbers of one fold from its scores."""
    matrix = np.empty((key.n, key.n), dtype=np.float64)
    matrix[key.row, key.column] = scores
    return retrieval_metrics(matrix)


def localization_scores(scores: np.ndarray, key: LocalizationKey) -> LocalizationScores:
    """Return GT-Box, Auto-Box and oracle from the scores of all triples."""
    place, image, row, column = key.gt.T
    # Entries of a picture need not lie together in the key.
    order = np.argsort(image, kind="stable")
    edges = np.flatnonzero(np.diff(image[order])) + 1
    matrices = []
    for part in np.split(order, edges) if len(order) else []:
        n = int(row[part].max()) + 1
        matrix = np.zeros((n, n))
        matrix[row[part], column[part]] = scores[place[part]]
        matrices.append(matrix)
    place, iou, question, images = key.auto
    return localization_metrics(matrices, AutoPairs(scores[place], iou, question, images))


def comparison_scores(scores: np.ndarray, key: ComparisonKey) -> ComparisonScores:
    """Return the agreement with people from the scores of all triples."""
    return comparison_metrics([scores[place] for place in key.places], key.labels)


FAULTS = (KeyError, TypeError, ValueError, AttributeError, OverflowError)


def named_fault(error: Exception, path: Path, label: str) -> UserError:
    """Return a sentence about an entry that could not be read."""
    if isinstance(error, UserError):
        return error
    if isinstance(error, KeyError):
        reason = f"names or lacks {error.args[0]!r}"
    elif isinstance(error, ValueError) and str(error).startswith("has "):
        reason = str(error)
    else:
        reason = "is not in the leaderboard's format"
    return UserError(f"{path}: {label} {reason}; get the leaderboard's files again")
