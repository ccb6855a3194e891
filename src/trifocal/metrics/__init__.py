"""Measures: ranks, pairs and groups, accuracy, intervals; the result row; the benchmark contract.

Embedding what a score needs is in `trifocal.features.embed`, which alone here needs the backbone.
"""

from trifocal.metrics.accuracy import accuracy, confusion, correct_at, mean_per_class_recall
from trifocal.metrics.benchmark import Benchmark, Missing, Sheet, find, require
from trifocal.metrics.choice import Groups, choice_correct, group_correct, pair_correct
from trifocal.metrics.intervals import (
    Difference,
    Interval,
    bootstrap,
    over_seeds,
    paired_bootstrap,
    wilson,
)
from trifocal.metrics.ranks import Ranks, retrieval_ranks
from trifocal.metrics.result import Result, model_name, task_version
from trifocal.progress import Progress, Quiet

__all__ = [
    "Benchmark",
    "Difference",
    "Groups",
    "Interval",
    "Missing",
    "Progress",
    "Quiet",
    "Ranks",
    "Result",
    "Sheet",
    "accuracy",
    "bootstrap",
    "choice_correct",
    "confusion",
    "correct_at",
    "find",
    "group_correct",
    "mean_per_class_recall",
    "model_name",
    "over_seeds",
    "pair_correct",
    "paired_bootstrap",
    "require",
    "retrieval_ranks",
    "task_version",
    "wilson",
]
