"""What explanations are worth: how often named concepts are true, and how much they decide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from trifocal.concepts.curves import ConceptCurves
from trifocal.concepts.named import NamesRight
from trifocal.report import figures
from trifocal.report.numbers import percent
from trifocal.report.page import Block, Plot, Plots
from trifocal.report.table import Column, Entry, Row, Table

TEST_PICTURES, SCENES = "test pictures", "other scenes"
_RIGHT = (
    "Three concepts a picture at most, those that add most to the predicted class, against the scene "
    "graph. With evidence, a concept is named only where the picture shows it; what that looks "
    "like was learned from other drawn pictures. Recall is over all true concepts of a picture, of "
    "which there are some fifteen."
)
_DECIDE = (
    "Insertion: how accurate the head is when it may use class texts and so many named concepts "
    "alone. Deletion: what is left of its accuracy without them. What insertion lacks of everything "
    "has no name."
)


@dataclass(frozen=True)
class Trust:
    """What explanations are worth.

    Attributes:
        asked: By kind of pictures, how often names were right that evidence let pass.
        unasked: The same without evidence.
        curves: Accuracy against the number of named concepts.
    """

    asked: Mapping[str, NamesRight]
    unasked: Mapping[str, NamesRight]
    curves: ConceptCurves


def trust_tables(trust: Trust) -> list[Table]:
    """Return how often named concepts are true."""
    rows = []
    for name, one in trust.asked.items():
        before = trust.unasked[name]
        cells = [one.precision, one.recall, before.precision, before.recall]
        entries = [Entry(f"{percent(value)}") for value in cells]
        entries.insert(2, Entry(f"{one.each:.1f}"))
        entries.append(Entry(f"{before.each:.1f}"))
        rows.append(Row(name, entries))
    columns = [
        Column(label, group)
        for group in ("evidence", "none")
        for label in ("precision", "recall", "names")
    ]
    return [Table("Are named concepts true? In %", "asked on", columns, rows, _RIGHT)]


def trust_blocks(trust: Trust) -> list[Block]:
    """Return the table, and how much named concepts decide."""
    curves = trust.curves
    full = curves.right_without[0]
    series = [
        _line("insertion", curves, curves.right_with, 1),
        _line("deletion", curves, curves.right_without, 2),
        _line("everything", curves, [full] * len(curves.steps), 0),
    ]
    told = (
        f"{100 * full:.1f} % with everything; {100 * curves.right_with[-1]:.1f} % with texts and "
        f"named concepts alone; {100 * curves.right_without[-1]:.1f} % without them; "
        f"{100 * curves.told:.0f} % of the pictures have one."
    )
    figure = figures.lines(series, "named concepts a decision", "accuracy, %")
    return [*trust_tables(trust), Plots("Do named concepts decide?", [Plot(figure, told)], _DECIDE)]


def _line(label: str, curves: ConceptCurves, values: Sequence[float], place: int) -> figures.Series:
    return figures.Series(label, curves.steps, [100 * each for each in values], place=place)
