"""The tables of few-shot results: accuracies, differences, domains, new classes, costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, replace

from trifocal.evaluate.few_shot.pairs import Answers
from trifocal.evaluate.few_shot.rows import BASE, NEW, TEST
from trifocal.evaluate.few_shot.summary import Summary
from trifocal.metrics.intervals import Difference, Interval
from trifocal.report.numbers import p_text, percent, seconds_text, shots_text, signed, trained_text
from trifocal.report.table import Column, Entry, Row, Table, tone_of

_NOISE = 0.05  # p-values above it are noise
_ROUNDING = 1e-9  # seeds that agree differ by this at most
_MOST_COLUMNS = 5  # of shots, beside a column of their mean, in 80 columns


def few_shot_tables(
    summary: Summary, answers: Answers | None = None, reference: str | None = None
) -> list[Table]:
    """Return all tables that the results fill, narrow enough for a terminal.

    Methods are compared with the `reference` in paired `answers`, where both are given.
    """
    own = summary.having(TEST)
    parts = [(own, f"Mean of {len(own)} data sets")] if len(own) > 1 else []
    parts += [([dataset], dataset) for dataset in own]
    tables = [brief_shots_table(summary, datasets, title) for datasets, title in parts]
    if answers is not None and reference is not None and own and len(summary.methods) > 1:
        tables.append(_starred(differences_table(summary, answers, own, reference)))
    tables += [domains_table(summary, name) for name in summary.datasets if summary.domains(name)]
    halves = summary.having(BASE, NEW)
    if halves:
        tables.append(base_to_new_table(summary, halves, each=len(halves) > 1))
    if summary.shots:
        tables.append(costs_table(summary))
    return tables


def brief_shots_table(summary: Summary, datasets: Sequence[str], title: str) -> Table:
    """Return accuracies of methods by shots, narrow enough for a terminal."""
    mean = len(summary.shots) <= _MOST_COLUMNS
    return shots_table(summary, datasets, title=f"{title}: accuracy by shots, %", mean=mean)


def shots_table(
    summary: Summary,
    datasets: Sequence[str],
    reference: str = "",
    *,
    title: str = "",
    mean: bool = True,
) -> Table:
    """Return accuracies of methods by shots in percent, averaged over data sets.

    The row of the `reference` is set off; several numbers of shots have a column of their `mean`.
    """
    columns = {str(count): [count] for count in summary.shots}
    if mean and len(columns) > 1:
        columns["mean"] = summary.shots
    cells = {
        method: [summary.mean(method, datasets, shots) for shots in columns.values()]
        for method in summary.methods
    }
    by_column = zip(*cells.values(), strict=True)
    best = [max((cell.value for cell in column if cell), default=None) for column in by_column]
    rows = [
        Row(method, [*map(accuracy, row, best)], "strong" if method == reference else "")
        for method, row in cells.items()
        if any(row)
    ]
    return Table(title, "method", [Column(name, "shots a class") for name in columns], rows)


def accuracy(cell: Interval | None, best: float | None = None) -> Entry:
    """Return the entry of an accuracy, in percent; `best` is the highest of its column."""
    if cell is None:
        return Entry("–")
    hint = f"95 % interval {percent(cell.low)} to {percent(cell.high)}"
    spread = percent(cell.half) if cell.half > _ROUNDING else ""
    return Entry(percent(cell.value), hint=hint, spread=spread, best=cell.value == best)


def differences_table(
    summary: Summary, answers: Answers, datasets: Sequence[str], reference: str
) -> Table:
    """Return paired differences to the reference, averaged over data sets."""
    rows = []
    found = answers.differences(summary.methods, reference, datasets, summary.shots)
    for method, each, whole in found:
        entries = [difference(one) for one in (*each, whole)]
        rows.append(Row(method, [*entries, Entry(p_text(whole))]))
    names = [str(count) for count in summary.shots]
    columns = [Column(name, "shots a class") for name in (*names, "mean")]
    return Table(
        f"Against {reference}, on the same test pictures",
        "method",
        [*columns, Column("p", hint="of no difference, averaged over shots")],
        rows,
        f"Points more (or less) than {reference}; ±: the 95 % interval of a paired bootstrap over "
        "test pictures, within each data set, of answers averaged over draws; colored where "
        f"p < {_NOISE}.",
        f"Against {reference} by shots, points (paired; * p < {_NOISE})",
    )


def _starred(table: Table) -> Table:
    """Return differences with a star for an interval, but for that of their mean."""

    def star(entry: Entry) -> Entry:
        sure = entry.tone in ("gain", "cost")
        return replace(entry, value=entry.value + "*" * sure, spread="")

    rows = [
        replace(row, entries=[*map(star, row.entries[:-2]), *row.entries[-2:]])
        for row in table.rows
    ]
    return replace(table, rows=rows)


def is_sure(found: Difference) -> bool:
    """Return whether a difference is beyond noise."""
    return found.p < _NOISE


def difference(found: Difference | None) -> Entry:
    """Return the entry of a paired difference, in points."""
    if found is None:
        return Entry("–")
    tone = tone_of(found.value, is_sure(found))
    low, value, high = (signed(100 * each) for each in (found.low, found.value, found.high))
    return Entry(value, "", tone, f"{low} to {high}, p {p_text(found)}", percent(found.half))


def domains_table(summary: Summary, dataset: str) -> Table:
    """Return accuracies on shifted domains, fitted at the most shots, and the domains' mean."""
    domains = summary.domains(dataset)
    count = summary.most_shots(domains[0], dataset)
    rows = []
    for method in summary.methods:
        cells = [summary.mean(method, [dataset], [count], test) for test in (TEST, *domains)]
        if any(cells):
            shifted = [cell.value for cell in cells[1:] if cell is not None]
            whole = len(shifted) == len(domains)
            mean = Entry(percent(sum(shifted) / len(shifted)) if whole else "–")
            rows.append(Row(method, [*map(accuracy, cells), mean]))
    shifts = [*map(domain_name, domains), "mean of shifted"]
    return Table(
        f"Shifted domains, {shots_text(count)}",
        "method",
        [Column(dataset, "fitted to"), *(Column(name, "shifted") for name in shifts)],
        rows,
        f"Fitted to {dataset} alone, parameters chosen there too; the domains are only tested on.",
        f"{dataset}, {shots_text(count)}: fitted to it, tested on shifted domains, %",
    )


def base_to_new_table(summary: Summary, datasets: Sequence[str], *, each: bool = False) -> Table:
    """Return accuracies on the classes that were fitted to, on new ones, and harmonic means.

    They are averaged over data sets; with `each`, every data set's own numbers follow.
    """
    count = summary.most_shots(BASE)
    rows = _halves(summary, datasets, count)
    for dataset in datasets if each else ():
        rows += [Row(dataset), *_halves(summary, [dataset], count, indent="  ")]
    harmonic = [Column(name, "harmonic mean") for name in ("H of means", "mean of H")]
    return Table(
        f"Base to new, {shots_text(count)}",
        "method",
        [Column("base"), Column("new"), *harmonic],
        rows,
        f"Average of {len(datasets)} data sets. Fitted to the first half of the classes; each half "
        "is tested among its own classes. H of means: of the two averages (CoOp's order); mean of "
        "H: the average of each data set's own. Papers print either.",
        f"Base to new, {shots_text(count)}, {listed(datasets)}, %",
    )


def _halves(summary: Summary, datasets: Sequence[str], count: int, indent: str = "") -> list[Row]:
    found = {one: summary.base_to_new(one, datasets, count) for one in summary.methods}
    return [
        Row(f"{indent}{method}", [Entry(percent(value)) for value in astuple(averages)])
        for method, averages in found.items()
        if averages is not None
    ]


def costs_table(summary: Summary) -> Table:
    """Return trained parameters and seconds."""
    count = summary.shots[-1]
    rows = []
    for method in summary.methods:
        found = summary.costs(method, count)
        if found is not None:
            told = (trained_text(*found.parameters), *map(seconds_text, (found.fit, found.predict)))
            rows.append(Row(method, [*map(Entry, told)]))
    return Table(
        f"What it takes, {shots_text(count)}",
        "method",
        [Column("parameters trained"), Column("fit, s"), Column("1000 predictions, s")],
        rows,
        "On features that are there already: without the backbone. Fit includes the search on "
        "validation pictures.",
    )


def domain_name(test: str) -> str:
    """Return the name of a domain as tables print it: "imagenet_v2" as "v2"."""
    return test.removeprefix("imagenet").strip("_").replace("_", " ") or test


def listed(names: Sequence[str]) -> str:
    """Return one name, or how many there are."""
    return names[0] if len(names) == 1 else f"{len(names)} data sets"
