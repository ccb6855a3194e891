"""A model in four numbers: what composition training is to gain, and what it must not cost."""

from __future__ import annotations

from collections.abc import Iterable

from trifocal.composition.registry import BENCHMARKS
from trifocal.evaluate.names import RETRIEVAL, ZERO_SHOT
from trifocal.metrics.result import Result

# The row that stands for all of a benchmark of composition; COCO-Counterfactuals' is of retrieval.
HEADLINES = {
    name: one.headline for name, one in BENCHMARKS.items() if "retrieval" not in one.headline[1]
}


def summarize(rows: Iterable[Result]) -> dict[str, float]:
    """Return the summary of one model's run, as fractions; what was not measured is left out.

    `composition` is the mean of the three groups, or another benchmark's headline (over benchmarks,
    if there are several),
    `zero_shot` the mean accuracy over classification sets, `i2t` and `t2i` recall@1 of text and
    of image retrieval (over sets), and `retrieval` the mean of these two.
    """
    values: dict[str, list[float]] = {}
    for row in rows:
        name = part_of(row)
        if name:
            values.setdefault(name, []).append(row.value)
    summary = {name: sum(found) / len(found) for name, found in values.items()}
    if "i2t" in summary and "t2i" in summary:
        summary["retrieval"] = (summary["i2t"] + summary["t2i"]) / 2
    return summary


def questions(rows: Iterable[Result]) -> dict[str, int]:
    """Return how many questions stand behind each number of `summarize`."""
    counts: dict[str, int] = {}
    for row in rows:
        name = part_of(row)
        if name:
            counts[name] = counts.get(name, 0) + row.n
    if "i2t" in counts and "t2i" in counts:
        counts["retrieval"] = counts["i2t"] + counts["t2i"]
    return counts


def part_of(row: Result) -> str | None:
    """Return which number of the summary a row belongs to."""
    if (row.task, row.metric) == HEADLINES.get(row.benchmark, ("mean", "acc")):
        return "composition"
    if (row.task, row.metric) == (ZERO_SHOT, "acc1"):
        return "zero_shot"
    if row.task == RETRIEVAL:
        ways = {"text_retrieval_recall@1": "i2t", "image_retrieval_recall@1": "t2i"}
        return ways.get(row.metric)
    return None
