"""A table of results as a file: Markdown, LaTeX or CSV, as the file's ending says."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Mapping, Sequence
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
_PUBLISHED = "published; docs/results/published.md has the source"
_KIND = "table"
_ENDINGS = (".md", ".tex", ".csv")


def check_export(path: str | os.PathLike[str]) -> None:
    """Refuse a path that a table cannot be written to.

    Raises:
        UserError: Its ending names no format, or it is something else's.
    """
    if Path(path).suffix.lower() not in _ENDINGS:
        raise UserError(f"a table is written as {', '.join(_ENDINGS)}, not {path}; name it so.")
    check_file(path, _KIND)


def write_export(
    path: str | os.PathLike[str],
    tables: Sequence[Table],
    rows: Sequence[Result],
    published: Mapping[str, Mapping[tuple[str, str, str], float]] | None = None,
) -> None:
    """Write tables as Markdown or LaTeX, or result rows, with all digits, as CSV.

    A CSV also has the rows of published models that are of the same measures.

    Raises:
        UserError: see `check_export`.
    """
    check_export(path)
    made: dict[str, Callable[[], str]] = {
        ".md": lambda: "\n".join(map(markdown, tables)),
        ".tex": lambda: "\n".join(map(latex, tables)),
        ".csv": lambda: _csv(rows, published or {}),
    }
    with atomic_write(path, _KIND) as aside:
        aside.write_text(made[Path(path).suffix.lower()](), encoding="utf-8", newline="\n")


def _csv(
    rows: Sequence[Result], published: Mapping[str, Mapping[tuple[str, str, str], float]]
) -> str:
    content = io.StringIO()
    writer = csv.DictWriter(content, _FIELDS, extrasaction="ignore", restval="")
    writer.writeheader()
    writer.writerows([row.as_dict() for row in rows])
    keys = {row.key for row in rows}
    for model, known in published.items():
        for key in sorted(known.keys() & keys):
            names = zip(("benchmark", "task", "metric"), key, strict=True)
            told = {"model": model, "value": known[key], "protocol": _PUBLISHED}
            writer.writerow({**told, **dict(names)})
    return content.getvalue()
