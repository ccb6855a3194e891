"""A `Table` as LaTeX with booktabs, for papers."""

from __future__ import annotations

from collections.abc import Iterable

from trifocal.report.table import Entry, Row, Table

_ESCAPES = str.maketrans(
    {
        "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
        "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}",
        "–": "--", "±": r"$\pm$", "→": r"$\to$", "−": "$-$", "≥": r"$\ge$", "≤": r"$\le$",
        "\n": " ",
    }
)  # fmt: skip


def latex(table: Table) -> str:
    """Return a table as a `tabular`, its best entries bold; it needs the package booktabs."""
    sides = "l" + "".join("l" if column.words else "r" for column in table.columns)
    heads = [table.corner, *(column.label for column in table.columns)]
    lines = [rf"\begin{{tabular}}{{{sides}}}", r"\toprule", _line(map(_escape, heads)), r"\midrule"]
    for place, row in enumerate(table.rows):
        if not row.entries and place:
            lines.append(r"\addlinespace")
        lines.append(_row(row, len(table.columns)))
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def _row(row: Row, columns: int) -> str:
    label = _escape(row.label.strip())
    if not row.entries:
        return rf"\multicolumn{{{columns + 1}}}{{l}}{{\textbf{{{label}}}}} \\"
    if row.emphasis == "strong":
        label = rf"\textbf{{{label}}}"
    return _line([label, *map(_cell, row.entries)])


def _cell(entry: Entry) -> str:
    shown = _escape(entry.value) + (rf"\,$\pm$\,{_escape(entry.spread)}" if entry.spread else "")
    shown = rf"\textbf{{{shown}}}" if entry.best else shown
    return f"{shown} {_escape(entry.change)}".rstrip()


def _line(cells: Iterable[str]) -> str:
    return " & ".join(cells) + r" \\"


def _escape(text: str) -> str:
    return text.translate(_ESCAPES)
