"""Tables in a terminal, where 80 columns are to be enough."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import zip_longest

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.table import Table as RichTable
from rich.text import Text

from trifocal.report.table import Entry, Table

_WIDTH = 80  # of a terminal
_LONGEST = 32  # line of a column's label, where the table is wider than that
_STYLES = {"gain": "green", "cost": "red", "flat": "dim", "": ""}
_EMPHASES = {"strong": "bold", "faint": "dim", "": ""}


def terminal_table(table: Table) -> RichTable:
    """Return a table as rich prints it, with room above each row that is a heading.

    Where a terminal is too narrow, changes go below their values; without changes, labels are
    folded. A number is never broken.
    """
    title = table.brief or table.title
    made = RichTable(
        title=Text(title, style="bold") if title else None,
        title_justify="left",
        box=SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        min_width=cell_len(title),  # a title is folded at the table's width
    )
    rows = [(row, [*map(_cell, row.entries)]) for row in table.rows]
    labels = _headings(table, [[Text(row.label), *cells] for row, cells in rows])
    changing = [
        any(row.entries and row.entries[place].change for row in table.rows)
        for place in range(len(labels))
    ]
    made.add_column(Text(table.corner), overflow="fold", no_wrap=any(changing))
    for column, label, changes in zip(table.columns, labels, changing, strict=True):
        justify, folds = ("left", True) if column.words else ("right", changes)
        made.add_column(Text(label), justify=justify, overflow="fold", no_wrap=not folds)
    for row, cells in rows:
        if row.entries:
            made.add_row(Text(row.label), *cells, style=_EMPHASES[row.emphasis])
        else:
            made.add_section()
            made.add_row(Text(row.label, style="bold"))
    return made


def _headings(table: Table, rows: Sequence[Sequence[Text]]) -> list[str]:
    """Return the labels of the columns, each in two lines if one makes the table too wide."""
    count = Counter(column.label for column in table.columns)
    # A label that stands in two groups is told apart by them.
    labels = [
        f"{one.group} {one.label}" if one.group and count[one.label] > 1 else one.label
        for one in table.columns
    ]
    heads = [Text(label) for label in (table.corner, *labels)]
    widths = [
        max(cell.cell_len for cell in column)
        for column in zip_longest(heads, *rows, fillvalue=Text())
    ]
    if sum(widths) + len(labels) <= _WIDTH:
        return labels
    return [
        label if one.words else _shortened(label)
        for one, label in zip(table.columns, labels, strict=True)
    ]


def _shortened(label: str) -> str:
    """Return a label in two lines; of a long path the end, which tells it from others."""
    lines = label.rsplit(" ", 1)
    return "\n".join(f"…{one[1 - _LONGEST :]}" if len(one) > _LONGEST else one for one in lines)


def _cell(entry: Entry) -> Text:
    if entry.value == "–":
        return Text("–", style="dim")
    color = _STYLES[entry.tone]
    text = Text(entry.value, style="bold" if entry.best else "" if entry.change else color)
    if entry.spread:
        text.append(f"±{entry.spread}", style="not bold dim")
    if entry.change:
        text.append(f" {entry.change}", style=color)
    return text
