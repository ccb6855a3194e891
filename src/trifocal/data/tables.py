"""Tables as they come: comma, tab, semicolon or bar separated with a header, or JSON lines."""

from __future__ import annotations

import csv
import json
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

from trifocal.errors import UserError

_SEPARATORS = ("\t", ",", ";", "|")
_MAX_CELL = 1 << 20


def table_records(file: Path, columns: Collection[str]) -> Iterator[dict[str, Any]]:
    """Yield the rows of a table, each from column to cell.

    Args:
        file: UTF-8 text; JSON lines if it begins with "{".
        columns: Names of columns that may be there; the separator is told by them.

    Raises:
        UserError: it is not a proper table.
        UnicodeDecodeError, OSError: it cannot be read as text.
    """
    with file.open(encoding="utf-8-sig", newline="") as stream:
        first = stream.readline(_MAX_CELL)
        stream.seek(0)
        if first.lstrip().startswith("{"):
            yield from json_lines(stream, file)
            return
        csv.field_size_limit(_MAX_CELL)
        try:
            yield from csv.DictReader(stream, delimiter=_separator(first, columns), restval="")
        except csv.Error as error:
            raise UserError(f"{file} is not a proper table ({error}); check its quotes.") from None


def _separator(header: str, known: Collection[str]) -> str:
    """Return the separator that splits the header into the most columns of known names."""

    def worth(separator: str) -> tuple[int, int]:
        columns = [column.strip().strip('"') for column in header.split(separator)]
        return len(set(known) & set(columns)), len(columns)

    return max(_SEPARATORS, key=worth)


def json_lines(stream: Iterable[str], file: Path) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects of a text with one a line.

    Raises:
        UserError: a line is something else; it is named.
    """
    for number, line in enumerate(stream, start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            record = None
        if not isinstance(record, dict):
            raise UserError(f"line {number} of {file} is not a JSON object; mend or remove it.")
        yield record
