"""Tables as they come: comma, tab, semicolon or bar separated with a header, or JSON lines.

A row with more or fewer cells than the header is never guessed at: a caption with a comma in it and
no quotes around it would lose its end.
"""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from trifocal.errors import UserError
from trifocal.tally import Tally

_SEPARATORS = ("\t", ",", ";", "|")
_MAX_CELL = 1 << 20
_PICTURE = re.compile(r"\.(jpe?g|jfif|png|webp|gif|bmp|tiff?)\"?$", re.IGNORECASE)


def table_records(
    file: Path,
    columns: Collection[str],
    *,
    tally: Tally | None = None,
    encoding: str | None = None,
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the rows of a table: the number of the line it ends on, and its cells by column.

    Args:
        file: Text; JSON lines if it begins with "{".
        columns: Names of columns that may be there; the separator is told by them.
        tally: Told of rows whose cells do not fit the header; without one they are an error.
        encoding: Of the text; UTF-8 by default, with or without a byte order mark.

    Raises:
        UserError: it is not a proper table, or there is no such encoding.
        UnicodeDecodeError, OSError: it cannot be read as text.
    """
    with open_text(file, encoding) as stream:
        first = stream.readline(_MAX_CELL)
        stream.seek(0)
        if first.lstrip().startswith("{"):
            yield from json_lines(stream, file)
            return
        yield from _rows(stream, _separator(first, columns), file, tally)


def open_text(file: Path, encoding: str | None = None) -> TextIO:
    """Open a text for reading, line ends as they are; a byte order mark is no part of it.

    Raises:
        UserError: there is no such encoding.
        OSError: it cannot be opened.
    """
    try:
        return file.open(encoding=encoding or "utf-8-sig", newline="")
    except LookupError:
        raise UserError(
            f"there is no encoding {encoding!r}; give one such as utf-8, latin-1 or utf-16."
        ) from None


def not_text(file: Path, encoding: str | None = None, option: str = "") -> UserError:
    """Return the sentence for a file that is not in its encoding, UTF-8 by default.

    Args:
        file: Which.
        encoding: What was stated.
        option: What states another, such as "data.encoding"; empty where nothing does.
    """
    state = f", or state what it is with {option}, such as latin-1 or utf-16" if option else ""
    return UserError(f"{file} is not {encoding or 'UTF-8'} text; save it as UTF-8{state}.")


def _rows(
    stream: TextIO, separator: str, file: Path, tally: Tally | None
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the rows whose cells are as many as the header's."""
    csv.field_size_limit(_MAX_CELL)
    reader = csv.reader(stream, delimiter=separator, strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        twice = [name for name, count in Counter(header).items() if count > 1 and name]
        if twice:
            raise UserError(f"{file} has two columns {twice[0]!r}; rename one of them.")
        for cells in reader:
            fault = _fault(cells, len(header), separator)
            if not cells:
                continue  # an empty line
            if not fault:
                yield reader.line_num, dict(zip(header, cells, strict=True))
            elif tally is None:
                raise UserError(
                    f"line {reader.line_num} of {file} is a row {fault}; put quotes around what "
                    f"has a {separator!r} in it."
                )
            else:
                tally.leave_out(fault, f"line {reader.line_num}")
    except csv.Error as error:
        raise UserError(
            f"{file} is not a proper table (line {reader.line_num}: {error}); check its quotes, "
            "and write one that belongs to a text as two."
        ) from None


def _fault(cells: Sequence[str], expected: int, separator: str) -> str:
    """Return what is wrong with a row, "" if nothing is."""
    if len(cells) != expected:
        return f"with {len(cells)} cells where the header has {expected}"
    # A quote that was never closed takes in the next rows up to another quote.
    later = [line for cell in cells if "\n" in cell for line in cell.splitlines()[1:]]
    if any(_PICTURE.search(part.strip()) for line in later for part in line.split(separator)):
        return "with quotes that take in other rows"
    return ""


def _separator(header: str, known: Collection[str]) -> str:
    """Return the separator that splits the header into the most columns of known names."""

    def worth(separator: str) -> tuple[int, int]:
        columns = [column.strip().strip('"') for column in header.split(separator)]
        return len(set(known) & set(columns)), len(columns)

    return max(_SEPARATORS, key=worth)


def json_lines(stream: Iterable[str], file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the JSON objects of a text with one a line, each with its line number.

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
        yield number, record
