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
    """A table's cell."""

    value: str  # the number or the words
    change: str = ""  # how it compares with the reference
    tone: Tone = ""  # the color of the change, or of the value where there is none
    hint: str = ""  # what a page tells who points at it
    spread: str = ""  # half of its interval, the number behind "±"
    best: bool = False  # whether it is the best of its column, which a terminal prints in bold


@dataclass(frozen=True)
class Column:
    """A table's column."""

    label: str  # heading
    group: str = ""  # on a page, neighbors of one group share a heading above theirs
    hint: str = ""  # what a page tells who points at the heading
    words: bool = False  # whether it holds words, which begin at the left, and not numbers


@dataclass(frozen=True)
class Row:
    """A table's row; the heading of those below it if it has no entries."""

    label: str
    entries: Sequence[Entry] = ()
    emphasis: Literal["strong", "faint", ""] = ""


@dataclass(frozen=True)
class Table:
    """Numbers side by side."""

    title: str  # heading
    corner: str  # what the rows are
    columns: Sequence[Column]  # one for each entry of a row
    rows: Sequence[Row]
    caption: str = ""  # how to read it, below it on a page
    brief: str = ""  # heading where there is no caption, in a terminal; by default the title
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
