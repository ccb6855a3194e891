"""A model that a report compares with others: its results, its training, and itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trifocal.evaluate.curve import CurvePoint
from trifocal.evaluate.summary import questions, summarize
from trifocal.metrics.intervals import Interval, over_seeds, wilson
from trifocal.metrics.result import Result

SUMMARY_NAMES = {
    "composition": "composition",
    "zero_shot": "zero-shot",
    "retrieval": "retrieval R@1",
}


@dataclass(frozen=True)
class Contender:
    """One of the models that a chapter compares."""

    label: str  # its name in tables and legends
    runs: Sequence[Sequence[Result]]  # results of each of its training runs (one for the base)
    model: Any = None  # the model itself, for examples and heat maps
    logs: Sequence[Path] = ()  # the `metrics.jsonl` of its runs
    # The way from the base to it (WiSE-FT), of each of its runs, if it was measured.
    curves: Sequence[Sequence[CurvePoint]] = ()

    @property
    def rows(self) -> list[Result]:
        """Return the rows of all runs under the label."""
        return [row.of(self.label) for run in self.runs for row in run]

    def summary(self) -> dict[str, Interval]:
        """Return every number of `summarize` with its 95 % interval, in percent.

        The interval is over the runs where there are several, else over the questions.
        """
        runs, counts = [summarize(run) for run in self.runs], questions(self.runs[0])
        found = {}
        for name, value in runs[0].items():
            values = [run[name] for run in runs if name in run]
            interval = over_seeds(values) if len(values) > 1 else wilson(value, counts[name])
            found[name] = Interval(100 * interval.value, 100 * interval.low, 100 * interval.high)
        return found
