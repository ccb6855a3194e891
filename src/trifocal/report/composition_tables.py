"""Tables of composition: models by measures, what is gained beside what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trifocal.composition.benchmarks.sugarcrepe import GROUPS
from trifocal.evaluate.names import RETRIEVAL, WORLD, ZERO_SHOT
from trifocal.evaluate.summary import part_of
from trifocal.metrics.result import Result
from trifocal.report.comparison import chance_row, compare, entry_of, seeds_note
from trifocal.report.contender import SUMMARY_NAMES, Contender
from trifocal.report.numbers import signed
from trifocal.report.table import Column, Entry, Row, Table

GAINED, COST = "what is to be gained", "what it must not cost"


@dataclass(frozen=True)
class Measure:
    """A column of the main table."""

    label: str
    group: str
    key: tuple[str, str, str]


def summary_table(contenders: Sequence[Contender], title: str) -> Table:
    """Return each model in three numbers, with the changes against the first."""
    base = contenders[0].summary()
    rows = []
    for one in contenders:
        values = {name: found.value for name, found in one.summary().items()}
        changes = {name: signed(values[name] - base[name].value) for name in SUMMARY_NAMES}
        entries = [
            Entry(f"{values[name]:.1f}", "" if one is contenders[0] else changes[name])
            for name in SUMMARY_NAMES
        ]
        rows.append(Row(one.label, entries))
    return Table(title, "model", [Column(label) for label in SUMMARY_NAMES.values()], rows)


def main_table(rows: Sequence[Result], models: Sequence[str]) -> Table:
    """Return the table of models by measures, in the groups of what is gained and what it costs."""
    measures = _measures(rows)
    compared = compare(rows, models[0])
    body = [
        Row(
            model,
            [entry_of(compared[measure.key].get(model)) for measure in measures],
            "strong" if model == models[-1] and len(models) > 1 else "",
        )
        for model in models
    ]
    body.append(chance_row(compared, [measure.key for measure in measures]))
    runs = max(cell.runs for cells in compared.values() for cell in cells.values())
    return Table(
        "Before and after",
        "model",
        [Column(measure.label, measure.group, " · ".join(measure.key)) for measure in measures],
        body,
        f"Percent right; below it the change against {models[0]} in points, colored where it is "
        f"larger than the noise of the test (95 %), gray where it is not.{seeds_note(runs)}",
    )


def _measures(rows: Sequence[Result]) -> list[Measure]:
    """Choose the columns: composition, then zero-shot accuracy, then recall@1.

    Of several benchmarks of composition each has its headline, of one its groups are shown.
    """
    keys = list(dict.fromkeys(row.key for row in rows))
    headlines = list(dict.fromkeys(row.key for row in rows if part_of(row) == "composition"))
    found: list[Measure] = []
    if len({key[0] for key in headlines}) > 1:
        found = [Measure(key[0].removeprefix(f"{WORLD}/"), GAINED, key) for key in headlines]
    else:
        found = [
            Measure(key[1], GAINED, key)
            for key in keys
            if key[2] == "acc" and (key[1] in GROUPS or key[1] == "mean")
        ]
    if not found:  # too few items for groups, or another benchmark of choices
        found = [Measure(f"{k[0]} {k[1]}", GAINED, k) for k in keys if k[2] == "acc"]
    for key in keys:
        if key[1:] == (ZERO_SHOT, "acc1"):
            found.append(Measure(key[0].removeprefix(f"{WORLD}/"), COST, key))
    for key in keys:
        if key[1] == RETRIEVAL and key[2].endswith("@1"):
            way = "text R@1" if key[2].startswith("text") else "image R@1"
            name = key[0].removeprefix(f"{WORLD}/")
            found.append(Measure(way if name == "retrieval" else f"{name} {way}", COST, key))
    return found or [Measure(" ".join(key), "", key) for key in keys]
