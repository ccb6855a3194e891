"""Few-shot results for the terminal: methods by shots, domains, new classes, costs, differences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from trifocal.evaluate.few_shot.pairs import Answers
from trifocal.evaluate.few_shot.rows import BASE, NEW, TEST
from trifocal.evaluate.few_shot.summary import Costs, Summary
from trifocal.metrics.intervals import Difference, Interval
from trifocal.report.comparison import signed

_NOISE = 0.05  # p-values above it are noise
ROUNDING = 1e-9  # seeds that agree differ by this at most
_MOST_COLUMNS = 5  # of shots, beside a column of their mean, in 80 columns


def few_shot_tables(
    summary: Summary, answers: Answers | None = None, reference: str | None = None
) -> list[Table]:
    """Return all tables that the results fill.

    Args:
        summary: The results.
        answers: Which questions were answered rightly, for paired differences.
        reference: Method that the others are compared with; None leaves the comparison out.
    """
    own = summary.having(TEST)
    tables = []
    if len(own) > 1:
        tables.append(shots_table(summary, own, f"Mean of {len(own)} data sets"))
    tables += [shots_table(summary, [dataset], dataset) for dataset in own]
    if answers is not None and reference is not None and own and len(summary.methods) > 1:
        tables.append(differences_table(summary, answers, reference, own))
    for dataset in summary.datasets:
        if summary.domains(dataset):
            tables.append(domains_table(summary, dataset))
    halves = summary.having(BASE, NEW)
    if halves:
        tables.append(base_to_new_table(summary, halves))
    if summary.shots:
        tables.append(costs_table(summary))
    return tables


def shots_table(summary: Summary, datasets: Sequence[str], title: str) -> Table:
    """Return accuracies of methods by shots, the best of each in bold."""
    table = _table(f"{title}: accuracy by shots, %", "method")
    columns = [[count] for count in summary.shots]
    names = [str(count) for count in summary.shots]
    if 1 < len(columns) <= _MOST_COLUMNS:
        columns.append(summary.shots)
        names.append("mean")
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    cells = {
        method: [summary.mean(method, datasets, column) for column in columns]
        for method in summary.methods
    }
    best = [_best([cells[method][place] for method in cells]) for place in range(len(columns))]
    for method, found in cells.items():
        if any(found):
            table.add_row(Text(method), *(_shown(*pair) for pair in zip(found, best)))
    return table


def differences_table(
    summary: Summary, answers: Answers, reference: str, datasets: Sequence[str]
) -> Table:
    """Return paired differences to the reference, in points."""
    table = _table(f"Against {reference} by shots, points (paired; * p < {_NOISE})", "method")
    for count in summary.shots:
        table.add_column(str(count), justify="right", no_wrap=True)
    table.add_column("mean, 95 %", justify="right", no_wrap=True)
    table.add_column("p", justify="right", no_wrap=True)
    found = answers.differences(summary.methods, reference, datasets, summary.shots)
    for method, each, whole in found:
        shown = [_gain(one) for one in each]
        table.add_row(Text(method), *shown, _gain(whole, interval=True), p_text(whole))
    return table


def domains_table(summary: Summary, dataset: str) -> Table:
    """Return accuracies on shifted domains, fitted at the most shots, and the domains' mean."""
    domains = summary.domains(dataset)
    shots = summary.most_shots(domains[0], dataset)
    table = _table(
        f"{dataset}, {shots_text(shots)}: fitted to it, tested on shifted domains, %", "method"
    )
    for name in (dataset, *map(domain_name, domains), "mean of shifted"):
        heading = Text("\n".join(name.rsplit(" ", 1)))  # narrow, so that methods have room
        table.add_column(heading, justify="right", overflow="fold")
    for method in summary.methods:
        found = [summary.mean(method, [dataset], [shots], test) for test in (TEST, *domains)]
        if not any(found):
            continue
        shifted = found[1:]
        mean = sum(one.value for one in shifted if one) / len(shifted) if all(shifted) else None
        last = Text("–") if mean is None else Text(f"{100 * mean:.1f}")
        table.add_row(Text(method), *(_shown(one) for one in found), last)
    return table


def base_to_new_table(summary: Summary, datasets: Sequence[str]) -> Table:
    """Return accuracies on the classes fitted to and on new ones, and both harmonic means."""
    shots = summary.most_shots(BASE)
    table = _table(f"Base to new, {shots_text(shots)}, {listed(datasets)}, %", "method")
    for name in ("base", "new", "H of means", "mean of H"):
        table.add_column(name, justify="right")
    for method in summary.methods:
        whole = summary.base_to_new(method, datasets, shots)
        if whole is not None:
            numbers = (whole.base, whole.new, whole.h_of_averages, whole.average_of_h)
            table.add_row(Text(method), *(f"{100 * value:.1f}" for value in numbers))
    if len(datasets) > 1:
        for dataset in datasets:
            table.add_section()
            table.add_row(Text(dataset, style="bold"))
            for method in summary.methods:
                one = summary.base_to_new(method, [dataset], shots)
                if one is not None:
                    numbers = (one.base, one.new, one.h_of_averages)
                    values = [f"{100 * value:.1f}" for value in numbers]
                    table.add_row(Text(f"  {method}"), *values, "")
    return table


def costs_table(summary: Summary) -> Table:
    """Return trained parameters and seconds."""
    shots = summary.shots[-1]
    table = _table(f"What it takes, {shots_text(shots)}", "method")
    table.add_column("trained", justify="right")
    table.add_column("fit, s", justify="right")
    table.add_column("1000 predictions, s", justify="right")
    for method in summary.methods:
        costs = summary.costs(method, shots)
        if costs is not None:
            fit, predict = seconds_text(costs.fit), seconds_text(costs.predict)
            table.add_row(Text(method), trained_text(costs), fit, predict)
    return table


def trained_text(costs: Costs) -> str:
    """Return the trained parameters as tables print them: "0", "524,288", "20,000 – 51,712"."""
    fewest, most = costs.parameters
    return f"{fewest:,}" if fewest == most else f"{fewest:,} – {most:,}"


def seconds_text(seconds: float) -> str:
    """Return seconds with two digits that count: "0.0012", "1.0", "12"."""
    if seconds >= 10:
        return f"{seconds:.0f}"
    text = np.format_float_positional(seconds, precision=2, min_digits=2, fractional=False)
    return text.rstrip(".")


def p_text(difference: Difference | None) -> str:
    """Return a p-value as tables print it."""
    if difference is None:
        return "–"
    return "< .001" if difference.p < 0.001 else f"{difference.p:.3f}".lstrip("0")


def _table(title: str, corner: str) -> Table:
    table = Table(
        title=Text(title, style="bold"),
        title_justify="left",
        box=SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        min_width=cell_len(title),  # a title is folded at the table's width
    )
    table.add_column(corner, overflow="fold")
    return table


def shots_text(count: int) -> str:
    """Return "1 shot", "2 shots"."""
    return f"{count} shot{'s' if count > 1 else ''}"


def domain_name(test: str) -> str:
    """Return the name of a domain as tables print it: "imagenet_v2" as "v2"."""
    return test.removeprefix("imagenet").strip("_").replace("_", " ") or test


def listed(names: Sequence[str]) -> str:
    """Return one name, or how many there are."""
    return names[0] if len(names) == 1 else f"{len(names)} data sets"


def _best(cells: Sequence[Interval | None]) -> float | None:
    return max((cell.value for cell in cells if cell is not None), default=None)


def _shown(cell: Interval | None, best: float | None = None) -> Text:
    if cell is None:
        return Text("–", style="dim")
    text = Text(f"{100 * cell.value:.1f}", style="bold" if cell.value == best else "")
    if cell.half > ROUNDING:
        text.append(f"±{100 * cell.half:.1f}", style="not bold dim")
    return text


def _gain(difference: Difference | None, interval: bool = False) -> Text:
    """Return a difference in points, colored where it is beyond noise."""
    if difference is None:
        return Text("–", style="dim")
    sure = difference.p < _NOISE
    style = "dim" if not sure else "green" if difference.value > 0 else "red"
    text = Text(signed(100 * difference.value), style=style)
    text.append(f" ±{100 * difference.half:.1f}" if interval else "*" if sure else "", style="dim")
    return text
