"""The table of two models compared question by question."""

from __future__ import annotations

from collections.abc import Sequence

from trifocal.evaluate.paired import MOST_P, Compared
from trifocal.report.comparison import measure_of
from trifocal.report.numbers import signed
from trifocal.report.table import Column, Entry, Row, Table, tone_of


def paired_table(compared: Sequence[Compared]) -> Table:
    """Return the measures of two models, by benchmark, each with its difference."""
    body: list[Row] = []
    benchmark = None
    for one in compared:
        if one.before.benchmark != benchmark:
            benchmark = one.before.benchmark
            body.append(Row(benchmark))
        body.append(Row(f"  {measure_of(one.before)}", _entries(one)))
    columns = [Column(name) for name in ("n", "before", "after", "gain", "95 % interval", "p")]
    count = sum(one.difference is not None for one in compared)
    caption = (
        f"Before: {compared[0].before.model}; after: {compared[0].after.model}. "
        f"Differences in points, by the paired bootstrap; p is corrected for the {count} measures "
        f"compared (Holm), and above {MOST_P:g} a difference counts as noise."
    )
    return Table("", "measure", columns, body, caption)


def _entries(one: Compared) -> list[Entry]:
    values = [Entry(str(one.before.n)), Entry(one.before.shown()), Entry(one.after.shown())]
    found = one.difference
    if found is None:
        return [*values, Entry(signed(one.after.gain_over(one.before))), Entry(one.why), Entry("")]
    scale = 1 if one.before.is_rank else 100
    better = -found.value if one.before.is_rank else found.value
    return [
        *values,
        Entry(signed(scale * found.value), tone=tone_of(better, one.real)),
        Entry(f"{signed(scale * found.low)} to {signed(scale * found.high)}"),
        Entry("noise" if not one.real else "< 0.001" if one.p < 0.001 else f"{one.p:.3f}"),
    ]
