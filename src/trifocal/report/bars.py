"""Bars of every part of a benchmark, a color a model, with what chance and a blind model get."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from markupsafe import Markup

from trifocal.composition.benchmarks.sugarcrepe import SUBSETS
from trifocal.composition.registry import BENCHMARKS
from trifocal.metrics.intervals import Interval
from trifocal.metrics.result import Result
from trifocal.report import figures
from trifocal.report.comparison import (
    Cell,
    blind_of,
    chance_of,
    compare,
    entry_of,
    measure_of,
    seeds_note,
)
from trifocal.report.page import Block, Plot, Plots
from trifocal.report.table import Column, Entry, Row, Table

MOST = 4  # models in a figure: the first, and the last; the table has all
_FEW = 3  # measures of one metric; fewer stand in one figure with others
_BAR = 0.15  # inches
_Cells = Mapping[tuple, Mapping[str, Cell]]


@dataclass(frozen=True)
class Bars:
    """A model's values in percent, one for each row of a figure; None where it has none."""

    label: str
    points: Sequence[Interval | None]
    blind: Sequence[float | None]  # what it gets where it does not see the pictures
    place: int  # its color


def bars_blocks(rows: Sequence[Result], models: Sequence[str]) -> list[Block]:
    """Return the bars of each benchmark of composition, the built-in world's included."""
    compared = compare(rows, models[0])
    blocks: list[Block] = []
    for benchmark in dict.fromkeys(key[0] for key in compared):
        known = benchmark in BENCHMARKS
        cells = {
            key: found
            for key, found in compared.items()
            if key[0] == benchmark and (known or key[1] in SUBSETS) and _is_share(found)
        }
        if len(cells) > 1:
            blocks.append(_block(benchmark, cells, models))
    return blocks


def bars(
    names: Sequence[str], series: Sequence[Bars], chance: Sequence[float | None], x_label: str
) -> Markup:
    """Draw a group of bars a row, top to bottom, each with its interval.

    A line across a group marks its chance, a diamond on a bar what its model gets unseeing.
    """
    with mpl.rc_context(figures.RC):
        inches = 1.1 + len(names) * (_BAR * len(series) + 0.16)
        figure, axes, places = figures.new_rows(names, x_label, inches)
        thick = 0.8 / len(series)
        for number, line in enumerate(series):
            color, _, _ = figures.style(line.place)
            at = places + 0.4 - thick * (number + 0.5)
            if not any(line.points):
                continue
            kept = [(y, point) for y, point in zip(at, line.points, strict=True) if point]
            values = np.array([point.value for _, point in kept])
            low, high = ([getattr(point, end) for _, point in kept] for end in ("low", "high"))
            axes.barh(
                [y for y, _ in kept],
                values,
                thick,
                color=color,
                alpha=0.6,
                label=line.label,
                zorder=2,
            )
            axes.hlines([y for y, _ in kept], low, high, color=figures.INK, lw=0.9, zorder=4)
            unseen = [(b, y) for y, b in zip(at, line.blind, strict=True) if b is not None]
            if unseen:
                axes.scatter(
                    *zip(*unseen, strict=True),
                    s=16, marker="D", facecolors="none", edgecolors=figures.INK, linewidths=0.9,
                    label="blind", zorder=5,
                )  # fmt: skip
        known = [(value, y) for value, y in zip(chance, places, strict=True) if value is not None]
        if known:
            x, y = (np.array(column) for column in zip(*known, strict=True))
            axes.vlines(
                x, y - 0.46, y + 0.46, color=figures.INK, lw=1.1, ls=(0, (2, 1.5)), label="chance", zorder=3
            )  # fmt: skip
        axes.grid(visible=False, axis="y")
        axes.set_xlim(0, 100)
        figures.add_legend(figure, axes)
        told = " ".join([*names, *(line.label for line in series)])
        return figures.to_svg(figure, f"bars {x_label} {told}")


def _is_share(cells: Mapping[str, Cell]) -> bool:
    """Return whether a measure is a share that a bar can show."""
    row = next(iter(cells.values())).row
    return not row.is_rank and not row.metric.endswith("_ties_right")


def _block(benchmark: str, cells: _Cells, models: Sequence[str]) -> Plots:
    shown = list(models) if len(models) <= MOST else [models[0], *models[1 - MOST :]]
    plots = [_plot(benchmark, part, cells, shown, models) for part in _figures(cells)]
    runs = max(cell.runs for found in cells.values() for cell in found.values())
    blind = any(row.blind is not None for row in _rows(cells))
    caption = "Percent right with 95 % intervals; dashed: chance"
    caption += (
        "; diamonds: the same model where every picture is the mean of all." if blind else "."
    )
    if len(shown) < len(models):
        caption += f" Bars of {len(shown)} of {len(models)} models; the table has all."
    return Plots(
        f"{benchmark}, part by part",
        plots,
        caption + seeds_note(runs),
        _table(benchmark, cells, models, blind),
    )


def _figures(cells: _Cells) -> list[list[tuple]]:
    """Return the measures of each figure: those of a metric, or of several that have few."""
    by_metric: dict[str, list[tuple]] = {}
    for key in cells:
        by_metric.setdefault(key[2], []).append(key)
    large = [keys for keys in by_metric.values() if len(keys) >= _FEW]
    small = [key for keys in by_metric.values() if len(keys) < _FEW for key in keys]
    return [*large, small] if small else large


def _plot(
    benchmark: str,
    keys: Sequence[tuple],
    cells: _Cells,
    shown: Sequence[str],
    models: Sequence[str],
) -> Plot:
    first = [next(iter(cells[key].values())).row for key in keys]
    series = [
        Bars(
            model,
            [_percent(cells[key].get(model)) for key in keys],
            [_blind(cells[key].get(model)) for key in keys],
            models.index(model),
        )
        for model in shown
    ]
    metrics = {key[2] for key in keys}
    label = f"{next(iter(metrics))}, %" if len(metrics) == 1 else "%"
    names = [_name(row, alone=len(metrics) == 1) for row in first]
    chance = [None if row.chance is None else 100 * row.chance for row in first]
    figure = bars(names, series, chance, label)
    return Plot(figure, f"{benchmark}: {label} of {', '.join(names)}; the table has the numbers.")


def _table(benchmark: str, cells: _Cells, models: Sequence[str], blind: bool) -> Table:
    body = []
    for row, found in zip(_rows(cells), cells.values(), strict=True):
        before = [Entry(str(row.n)), Entry(chance_of(row))]
        before += [Entry(blind_of(row))] if blind else []
        body.append(Row(_name(row), [*before, *(entry_of(found.get(model)) for model in models)]))
    names = ["n", "chance", *(["blind"] if blind else []), *models]
    title = f"{benchmark} in numbers"
    return Table(title, "part", [Column(name) for name in names], body)


def _rows(cells: _Cells) -> list[Result]:
    """Return the first model's row of each measure."""
    return [next(iter(found.values())).row for found in cells.values()]


def _name(row: Result, *, alone: bool = False) -> str:
    """Return the part of the benchmark, and the metric unless it is the only one shown."""
    return (row.task if alone else measure_of(row)).replace("_", " ")


def _percent(cell: Cell | None) -> Interval | None:
    if cell is None or not math.isfinite(cell.row.value):
        return None
    return Interval(
        *(100 * end for end in (cell.interval.value, cell.interval.low, cell.interval.high))
    )


def _blind(cell: Cell | None) -> float | None:
    return None if cell is None or cell.row.blind is None else 100 * cell.row.blind
