"""Results side by side: one row a measure, one column a model, differences to the first model."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from trifocal.metrics.intervals import Interval, over_seeds, wilson
from trifocal.metrics.result import Result
from trifocal.report.numbers import minus, signed
from trifocal.report.table import Column, Entry, Row, Table, tone_of


@dataclass(frozen=True)
class Cell:
    """What is known of one measure for one model."""

    row: Result  # the result, with the mean value where there are several runs
    interval: Interval  # its 95 % interval: over runs where there are several, else over questions
    runs: int  # how many runs stand behind it
    # How much better than the reference model, in points or places; None for itself.
    gain: float | None = None
    # False where a difference of this size is within the intervals' noise.
    beyond_noise: bool = False


def compare(rows: Iterable[Result], reference: str | None = None) -> dict[tuple, dict[str, Cell]]:
    """Return, for every measure in order of appearance, the cell of every model.

    Rows of one model with one key are runs with different seeds, and are averaged. Models are
    compared with the `reference`, by default the first.
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
    first, values = runs[0], [run.value for run in runs]
    mean = sum(values) / len(values)
    if len(runs) > 1:
        interval = over_seeds(values)
    elif first.is_rank or not 0 <= mean <= 1:
        interval = Interval(mean, mean, mean)
    else:
        interval = wilson(mean, first.n)
    return Cell(replace(first, value=mean), interval, len(runs))


def _against(cell: Cell, base: Cell) -> Cell:
    beyond = beyond_noise(cell.interval, base.interval)
    return replace(cell, gain=cell.row.gain_over(base.row), beyond_noise=beyond)


def beyond_noise(one: Interval, other: Interval) -> bool:
    """Return whether two numbers differ by more than their 95 % intervals explain.

    The intervals count as independent: wider than a paired test's, so this errs on the quiet side.
    """
    return abs(one.value - other.value) > math.hypot(one.half, other.half)


def entry_of(cell: Cell | None) -> Entry:
    """Return the table entry of one measure of one model."""
    if cell is None:
        return Entry("–")
    scale = 1 if cell.row.is_rank else 100
    low, high = scale * cell.interval.low, scale * cell.interval.high
    hint = minus(f"95 % interval {low:.1f} to {high:.1f}") + f", n = {cell.row.n}"
    if cell.gain is None:
        return Entry(cell.row.shown(), hint=hint)
    tone = tone_of(cell.gain, cell.beyond_noise)
    return Entry(cell.row.shown(), signed(cell.gain), tone, hint)


def chance_row(compared: Mapping[tuple, Mapping[str, Cell]], keys: Sequence[tuple]) -> Row:
    """Return the row of what chance gives, below the models of a table of measures."""
    chances = [chance_of(next(iter(compared[key].values())).row) for key in keys]
    return Row("chance", [Entry(chance) for chance in chances], "faint")


def seeds_note(runs: int) -> str:
    """Return what a caption says of several runs."""
    return f" Mean of {runs} runs with different seeds." if runs > 1 else ""


def comparison_table(
    rows: Sequence[Result], *, reference: str | None = None, title: str = ""
) -> Table:
    """Return the table of all measures, in parts by benchmark, by models; see `compare`.

    The column "blind", where it is known, is the first model's: what it scores unseeing.
    """
    models = list(dict.fromkeys(row.model for row in rows))
    blind = any(row.blind is not None for row in rows)
    body: list[Row] = []
    benchmark = None
    for cells in compare(rows, reference).values():
        first = next(iter(cells.values())).row
        if first.benchmark != benchmark:
            benchmark = first.benchmark
            body.append(Row(benchmark))
        entries = [_with_spread(cells.get(model)) for model in models]
        counts = [Entry(str(first.n)), Entry(chance_of(first), tone="flat")]
        if blind:
            counts.append(Entry(blind_of(first), tone="flat"))
        body.append(Row(f"  {measure_of(first)}", [*counts, *entries]))
    columns = [Column(name) for name in ("n", "chance", *(["blind"] if blind else []), *models)]
    return Table(title, "measure", columns, body)


def _with_spread(cell: Cell | None) -> Entry:
    entry = entry_of(cell)
    if cell is None or cell.runs == 1:
        return entry
    half = (1 if cell.row.is_rank else 100) * cell.interval.half
    return replace(entry, spread=f"{half:.1f}")


def chance_of(row: Result) -> str:
    """Return what chance gives, as tables print it; empty where nobody knows."""
    return "" if row.chance is None else replace(row, value=row.chance).shown()


def blind_of(row: Result) -> str:
    """Return what the model scores without seeing the pictures, as tables print it."""
    return "" if row.blind is None else replace(row, value=row.blind).shown()


def measure_of(row: Result) -> str:
    """Return task and metric without what goes without saying."""
    if row.task.startswith("zeroshot_"):
        return row.metric
    return row.task if row.metric == "acc" else f"{row.task} {row.metric}"
