"""Results side by side: one row a measure, one column a model, differences to the first model."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from rich.table import Table
from rich.text import Text

from trifocal.metrics.intervals import Interval, over_seeds, wilson
from trifocal.metrics.result import Result

# Differences smaller than this (points, or places) are not worth a color.
_NOTICEABLE = 0.05


@dataclass(frozen=True)
class Cell:
    """What is known of one measure for one model.

    Attributes:
        row: The result, with the mean value where there are several runs.
        interval: Its 95 % interval: over runs where there are several, else over questions.
        runs: How many runs stand behind it.
        gain: How much better than the reference model, in points or places; None for itself.
        beyond_noise: False where a difference of this size is within the intervals' noise.
    """

    row: Result
    interval: Interval
    runs: int
    gain: float | None = None
    beyond_noise: bool = False


def compare(rows: Iterable[Result], reference: str | None = None) -> dict[tuple, dict[str, Cell]]:
    """Return, for every measure in order of appearance, the cell of every model.

    Rows of one model with one key are runs with different seeds, and are averaged.

    Args:
        rows: Results of any number of models.
        reference: Model that the others are compared with, by default the first.
    """
    grouped: dict[tuple, dict[str, list[Result]]] = defaultdict(lambda: defaultdict(list))
    models: dict[str, None] = {}
    for row in rows:
        grouped[row.key][row.model].append(row)
        models.setdefault(row.model)
    reference = reference if reference is not None else next(iter(models), None)
    table: dict[tuple, dict[str, Cell]] = {}
    for key, by_model in grouped.items():
        cells = {model: _cell(by_model[model]) for model in models if model in by_model}
        base = cells.get(reference) if reference else None
        table[key] = {
            model: cell if base is None or model == reference else _against(cell, base)
            for model, cell in cells.items()
        }
    return table


def _cell(runs: list[Result]) -> Cell:
    values = [run.value for run in runs]
    if len(runs) > 1:
        interval = over_seeds(values)
    elif runs[0].is_rank or not 0 <= runs[0].value <= 1:
        interval = Interval(values[0], values[0], values[0])
    else:
        interval = wilson(values[0], runs[0].n)
    mean = sum(values) / len(values)
    return Cell(Result(**{**runs[0].as_dict(), "value": mean}), interval, len(runs))


def _against(cell: Cell, base: Cell) -> Cell:
    gain = cell.row.gain_over(base.row)
    scale = 1 if cell.row.is_rank else 100
    # Independent intervals: wider than a paired test would give, so this errs on the quiet side.
    noise = scale * math.hypot(cell.interval.half, base.interval.half)
    return Cell(cell.row, cell.interval, cell.runs, gain, abs(gain) > noise)


def comparison_table(
    rows: Sequence[Result], *, reference: str | None = None, title: str | None = None
) -> Table:
    """Return a table for the terminal.

    Args:
        rows: Results of any number of models, e.g. of several results files.
        reference: Model the others are compared with, by default the first.
        title: Heading.
    """
    models = list(dict.fromkeys(row.model for row in rows))
    table = Table(title=title, title_justify="left", header_style="bold")
    table.add_column("benchmark", no_wrap=True)
    table.add_column("measure", no_wrap=True)
    table.add_column("n", justify="right")
    table.add_column("chance", justify="right", style="dim")
    for model in models:
        table.add_column(Text(model), justify="right", overflow="fold")
    last = None
    for key, cells in compare(rows, reference).items():
        first = next(iter(cells.values())).row
        if last is not None and key[0] != last:
            table.add_section()
        shown = Text(key[0]) if key[0] != last else Text("")
        last = key[0]
        chance = chance_of(first)
        values = [_shown(cells[model]) if model in cells else Text("–") for model in models]
        table.add_row(shown, Text(_measure(first)), str(first.n), chance, *values)
    return table


def chance_of(row: Result) -> str:
    """Return what chance gives, as tables print it; empty where nobody knows."""
    return "" if row.chance is None else replace(row, value=row.chance).shown()


def _measure(row: Result) -> str:
    """Return task and metric without what goes without saying."""
    if row.task.startswith("zeroshot_"):
        return row.metric
    return row.task if row.metric == "acc" else f"{row.task} {row.metric}"


def _shown(cell: Cell) -> Text:
    text = Text(cell.row.shown())
    if cell.runs > 1:
        text.append(f" ±{(1 if cell.row.is_rank else 100) * cell.interval.half:.1f}", style="dim")
    if cell.gain is not None:
        style = "dim"
        if abs(cell.gain) >= _NOTICEABLE:
            style = "green" if cell.gain > 0 else "red"
        text.append(f" {signed(cell.gain)}", style=style)
    return text


def signed(points: float) -> str:
    """Return a difference with its sign, "±0.0" where it rounds to nothing."""
    if abs(points) < _NOTICEABLE:
        return "±0.0"
    return f"{points:+.1f}".replace("-", "−")
