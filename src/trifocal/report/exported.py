"""A table of results as a file: Markdown, LaTeX or CSV, as the file's ending says."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from trifocal.errors import UserError
from trifocal.files import atomic_write, check_file
from trifocal.metrics.result import Result
from trifocal.report.latex import latex
from trifocal.report.markdown import markdown
from trifocal.report.table import Table

_FIELDS: tuple[str, ...] = (
    *("model", "benchmark", "task", "metric", "value", "n", "chance", "blind", "ties", "seed"),
    *("protocol", "version", "asked"),
)
_ENDINGS = (".md", ".tex", ".csv")


def check_export(path: str | os.PathLike[str]) -> None:
    """Refuse a path that a table cannot be written to.

    Raises:
        UserError: Its ending names no format, or it is something else's.
    """
    if Path(path).suffix.lower() not in _ENDINGS:
        raise UserError(f"a table is written as {', '.join(_ENDINGS)}, not {path}; name it so.")
    check_file(path, "table")


def write_export(path: str | os.PathLike[str], table: Table, rows: Sequence[Result]) -> None:
    """Write a table as Markdown or LaTeX, or its result rows, with all digits, as CSV.

    Raises:
        UserError: see `check_export`.
    """
    check_export(path)
    made: dict[str, Callable[[], str]] = {
        ".md": lambda: markdown(table),
        ".tex": lambda: latex(table),
        ".csv": lambda: _csv(rows),
    }
    with atomic_write(path) as aside:
        aside.write_text(made[Path(path).suffix.lower()](), encoding="utf-8", newline="\n")


def _csv(rows: Sequence[Result]) -> str:
    content = io.StringIO()
    writer = csv.DictWriter(content, _FIELDS, extrasaction="ignore", restval="")
    writer.writeheader()
    writer.writerows([row.as_dict() for row in rows])
    return content.getvalue()
