"""How much concepts decide, of every few-shot head whose logits have concepts in them."""

from __future__ import annotations

from collections.abc import Sequence

from trifocal.concepts.curves import STEPS
from trifocal.evaluate.few_shot.concept_rows import (
    MARGIN_WITH,
    MARGIN_WITHOUT,
    MOST,
    NAMED_SHARE,
    RANDOM_WITH,
    RANDOM_WITHOUT,
    RIGHT_WITH,
    RIGHT_WITH_NAMED,
    RIGHT_WITHOUT,
    Curve,
)
from trifocal.evaluate.few_shot.rows import TEST, Place
from trifocal.evaluate.few_shot.summary import Summary
from trifocal.report import figures
from trifocal.report.few_shot_tables import listed
from trifocal.report.figures import Series
from trifocal.report.numbers import minus, percent, shots_text
from trifocal.report.page import Block, Plot, Plots
from trifocal.report.table import Column, Entry, Row, Table

_EVERYTHING = RIGHT_WITHOUT.metric(0)
_ACCURACIES = (
    *(RIGHT_WITH.metric(count) for count in STEPS),
    _EVERYTHING,
    RIGHT_WITH_NAMED.metric(STEPS[-1]),
)
_AREAS = (MARGIN_WITH.area, RANDOM_WITH.area, MARGIN_WITHOUT.area, RANDOM_WITHOUT.area)
_SHOWN = (*_ACCURACIES, *_AREAS, NAMED_SHARE)
_RIGHT = (
    "A decision may use class texts, biases and the k concepts that do most for it; everything: the "
    "head as it is, on the same pictures. In the last column a concept must also be one that "
    f"trifocal classify explain would name. On {MOST} test pictures at most, at the most shots."
)
_MARGINS = (
    "The margin is the logit of the decided class above the next; everything is 100. With concepts "
    "alone, the strongest first, it comes back the sooner (more is better); without them it goes (less "
    "is better). Mean over 0 to 16 concepts, beside the same in a drawn order."
)


def concept_tables(summary: Summary, datasets: Sequence[str]) -> list[Table]:
    """Return accuracy and margin by concepts, averaged over data sets; nothing where no head has any."""
    if not datasets:
        return []
    count = summary.shots[-1]
    right, margins = [], []
    for method in summary.methods:
        found = {name: _mean(summary, method, datasets, name) for name in _SHOWN}
        if any(value is None for value in found.values()):
            continue
        values = {name: value for name, value in found.items() if value is not None}
        right.append(Row(method, [Entry(percent(values[name])) for name in _ACCURACIES]))
        cells = [Entry(minus(f"{100 * values[name]:.0f}")) for name in _AREAS]
        margins.append(Row(method, [*cells, Entry(percent(values[NAMED_SHARE]))]))
    if not right:
        return []
    where = f"{listed(datasets)}, {shots_text(count)}"
    kept = [Column(str(k), "concepts a decision may use") for k in STEPS]
    parts = [
        Column(label, group)
        for group in ("with alone", "without")
        for label in ("strongest", "drawn")
    ]
    return [
        Table(
            "How accurate with k concepts?",
            "method",
            [*kept, Column("all"), Column("named", hint="up to 16 named concepts")],
            right,
            _RIGHT,
            f"Accuracy with k concepts a decision, {where}, %",
        ),
        Table(
            "How much of the margin do concepts carry?",
            "method",
            [*parts, Column("named in", hint="% of the pictures")],
            margins,
            _MARGINS,
            f"Margin with and without concepts, {where}, % of the whole",
        ),
    ]


def concept_blocks(summary: Summary, datasets: Sequence[str], reference: str) -> list[Block]:
    """Return the tables, below accuracy with k concepts, and the margin of one method."""
    tables = concept_tables(summary, datasets)
    if not tables:
        return []
    methods = [row.label for row in tables[0].rows]
    shown = reference if reference in methods else methods[0]
    right = [
        _series(summary, method, datasets, RIGHT_WITH, method, place)
        for place, method in enumerate(methods, start=1)
    ]
    margins = [
        _series(summary, shown, datasets, curve, label, place)
        for curve, label, place in (
            (MARGIN_WITH, "with alone", 1),
            (RANDOM_WITH, "with alone, drawn", 6),
            (MARGIN_WITHOUT, "without", 5),
            (RANDOM_WITHOUT, "without, drawn", 2),
        )
    ]
    plots = [
        Plot(
            figures.lines(right, "concepts a decision may use", "accuracy, %"),
            f"Accuracy with 0 to {STEPS[-1]} concepts: {_told(right)}.",
        ),
        Plot(
            figures.lines(margins, "concepts", f"margin of {shown}, %"),
            f"Margin of {shown} with 0 to {STEPS[-1]} concepts: {_told(margins)}.",
        ),
    ]
    return [Plots("Do concepts decide?", plots), *tables]


def _series(
    summary: Summary, method: str, datasets: Sequence[str], curve: Curve, label: str, place: int
) -> Series:
    values = [_mean(summary, method, datasets, curve.metric(count)) or 0.0 for count in STEPS]
    return Series(label, STEPS, [100 * value for value in values], place=place)


def _told(series: Sequence[Series]) -> str:
    return "; ".join(f"{one.label} {one.y[0]:.0f} to {one.y[-1]:.0f}" for one in series)


def _mean(summary: Summary, method: str, datasets: Sequence[str], metric: str) -> float | None:
    """Return the mean over data sets of means over draws, at the most shots; None if one is missing."""
    means = []
    for dataset in datasets:
        runs = summary.runs(method, Place(dataset, summary.shots[-1], TEST), metric)
        if not runs:
            return None
        means.append(sum(row.value for row in runs.values()) / len(runs))
    return sum(means) / len(means)
