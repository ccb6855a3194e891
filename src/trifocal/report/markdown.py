"""A `Table` as Markdown, for pages of the documentation."""

from __future__ import annotations

from trifocal.report.table import Entry, Row, Table


def markdown(table: Table) -> str:
    """Return a table in GitHub's Markdown, its best entries bold, its caption below."""
    heads = [table.corner, *(column.label for column in table.columns)]
    sides = ["---", *("---" if column.words else "---:" for column in table.columns)]
    lines = [_line(heads), _line(sides), *(_row(row, len(table.columns)) for row in table.rows)]
    return "\n".join([*lines, *(["", table.caption] if table.caption else [])]) + "\n"


def _row(row: Row, columns: int) -> str:
    label = f"**{row.label}**" if row.emphasis == "strong" else row.label
    cells = [_cell(entry) for entry in row.entries] or [""] * columns
    return _line([label, *cells])


def _cell(entry: Entry) -> str:
    shown = entry.value + (f" ± {entry.spread}" if entry.spread else "")
    shown = f"**{shown}**" if entry.best else shown
    return f"{shown} {entry.change}".rstrip()


def _line(cells: list[str]) -> str:
    return (
        "| " + " | ".join(cell.replace("|", "\\|").replace("\n", "<br>") for cell in cells) + " |"
    )
