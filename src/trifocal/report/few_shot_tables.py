"""The tables of the few-shot chapter: accuracies, differences, domains, new classes, costs."""

from __future__ import annotations

from collections.abc import Sequence

from trifocal.evaluate.few_shot.pairs import Answers
from trifocal.evaluate.few_shot.rows import BASE, TEST
from trifocal.evaluate.few_shot.summary import Summary
from trifocal.metrics.intervals import Difference, Interval
from trifocal.report.comparison import signed
from trifocal.report.few_shot_table import (
    ROUNDING,
    domain_name,
    p_text,
    seconds_text,
    shots_text,
    trained_text,
)
from trifocal.report.page import Column, Entry, Row, Table, Tone

_NOISE = 0.05  # p-values above it are noise


def shots_table(summary: Summary, datasets: Sequence[str], reference: str) -> Table:
    """Return accuracies of methods by shots, in percent."""
    columns = [[count] for count in summary.shots]
    names = [str(count) for count in summary.shots]
    if len(columns) > 1:
        columns.append(summary.shots)
        names.append("mean")
    cells = {
        method: [summary.mean(method, datasets, column) for column in columns]
        for method in summary.methods
    }
    rows = [
        Row(method, [entry(cell) for cell in row], "strong" if method == reference else "")
        for method, row in cells.items()
        if any(row)
    ]
    return Table("", "method", [Column(name, "shots a class") for name in names], rows)


def entry(cell: Interval | None, interval: bool = True, change: str = "", tone: Tone = "") -> Entry:
    """Return an accuracy's cell: percent, and below it the interval or a given change."""
    if cell is None:
        return Entry("–")
    hint = f"95 % interval {percent(cell.low)} to {percent(cell.high)}"
    if interval and cell.half > ROUNDING:
        change = f"± {100 * cell.half:.1f}"
    return Entry(percent(cell.value), change, tone, hint)


def differences_table(
    summary: Summary, answers: Answers, datasets: Sequence[str], reference: str
) -> Table:
    """Return paired differences to the reference, averaged over data sets."""
    rows = []
    found = answers.differences(summary.methods, reference, datasets, summary.shots)
    for method, each, whole in found:
        entries = [_difference(one) for one in (*each, whole)]
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
        "p < 0.05.",
    )


def _difference(found: Difference | None) -> Entry:
    if found is None:
        return Entry("–")
    tone: Tone = "flat"
    if found.p < _NOISE:
        tone = "gain" if found.value > 0 else "cost"
    ends = f"{signed(100 * found.low)} to {signed(100 * found.high)}, p {p_text(found)}"
    return Entry(signed(100 * found.value), f"± {100 * found.half:.1f}", tone, ends)


def domains_table(summary: Summary, dataset: str) -> Table:
    """Return accuracies on shifted domains."""
    domains = summary.domains(dataset)
    count = summary.most_shots(domains[0], dataset)
    rows = []
    for method in summary.methods:
        cells = [summary.mean(method, [dataset], [count], test) for test in (TEST, *domains)]
        if any(cells):
            shifted = [cell.value for cell in cells[1:] if cell is not None]
            whole = len(shifted) == len(domains)
            mean = Entry(percent(sum(shifted) / len(shifted)) if whole else "–")
            rows.append(Row(method, [*(entry(cell) for cell in cells), mean]))
    columns = [Column(dataset, "fitted to")]
    columns += [Column(domain_name(name), "shifted") for name in domains]
    return Table(
        f"Shifted domains, {shots_text(count)}",
        "method",
        [*columns, Column("mean", "shifted")],
        rows,
        f"Fitted to {dataset} alone, parameters chosen there too; the domains are only tested on.",
    )


def base_to_new_table(summary: Summary, datasets: Sequence[str]) -> Table:
    """Return accuracies on the classes that were fitted to, and on new ones."""
    count = summary.most_shots(BASE)
    rows = []
    for method in summary.methods:
        found = summary.base_to_new(method, datasets, count)
        if found is not None:
            numbers = (found.base, found.new, found.h_of_averages, found.average_of_h)
            rows.append(Row(method, [Entry(percent(value)) for value in numbers]))
    return Table(
        f"Base to new, {shots_text(count)}",
        "method",
        [
            Column("base"),
            Column("new"),
            Column("H of means", "harmonic mean"),
            Column("mean of H", "harmonic mean"),
        ],
        rows,
        f"Average of {len(datasets)} data sets. Fitted to the first half of the classes; each half "
        "is tested among its own classes. H of means: of the two averages (CoOp's order); mean of "
        "H: the average of each data set's own. Papers print either.",
    )


def costs_table(summary: Summary) -> Table:
    """Return trained parameters and seconds."""
    count = summary.shots[-1]
    rows = []
    for method in summary.methods:
        found = summary.costs(method, count)
        if found is not None:
            seconds = (seconds_text(found.fit), seconds_text(found.predict))
            rows.append(Row(method, [Entry(trained_text(found)), *map(Entry, seconds)]))
    return Table(
        f"What it takes, {shots_text(count)}",
        "method",
        [
            Column("parameters trained"),
            Column("fit, s"),
            Column("1000 predictions, s"),
        ],
        rows,
        "On features that are there already: without the backbone. Fit includes the search on "
        "validation pictures.",
    )


def percent(share: float) -> str:
    """Return a share in percent, with one decimal."""
    return f"{100 * share:.1f}"
