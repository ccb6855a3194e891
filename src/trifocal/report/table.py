"""A table as plain data: a terminal shows it by `terminal.py`, a page by `report.html`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

Tone = Literal["gain", "cost", "flat", ""]


def tone_of(change: float, sure: bool = True, unsure: Tone = "flat") -> Tone:
    """Return how a change is colored: by its sign, or as `unsure` where it may be noise."""
    if not sure:
        return unsure
    return "gain" if change > 0 else "cost"


@dataclass(frozen=True)
class Entry:
    """A table's cell.

    Attributes:
        value: The number or the words.
        change: How it compares with the reference.
        tone: The color of the change, or of the value where there is none.
        hint: What a page tells who points at it.
        spread: Half of its interval, the number behind "±".
        best: Whether it is the best of its column, which a terminal prints in bold.
    """

    value: str
    change: str = ""
    tone: Tone = ""
    hint: str = ""
    spread: str = ""
    best: bool = False


@dataclass(frozen=True)
class Column:
    """A table's column.

    Attributes:
        label: Heading.
        group: On a page, neighbors of one group share a heading above theirs.
        hint: What a page tells who points at the heading.
        words: Whether it holds words, which begin at the left, and not numbers.
    """

    label: str
    group: str = ""
    hint: str = ""
    words: bool = False


@dataclass(frozen=True)
class Row:
    """A table's row; the heading of those below it if it has no entries."""

    label: str
    entries: Sequence[Entry] = ()
    emphasis: Literal["strong", "faint", ""] = ""


@dataclass(frozen=True)
class Table:
    """Numbers side by side.

    Attributes:
        title: Heading.
        corner: What the rows are.
        columns: One for each entry of a row.
        rows: The rows.
        caption: How to read it, below it on a page.
        brief: Heading where there is no caption, in a terminal; by default the title.
    """

    title: str
    corner: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    caption: str = ""
    brief: str = ""
    kind: ClassVar[str] = "table"

    @property
    def groups(self) -> list[tuple[str, int]]:
        """Return headings over neighboring columns and how many columns each spans."""
        spans: list[tuple[str, int]] = []
        for column in self.columns:
            if spans and spans[-1][0] == column.group:
                spans[-1] = (column.group, spans[-1][1] + 1)
            else:
                spans.append((column.group, 1))
        return spans
