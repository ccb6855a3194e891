"""Reading annotation files of benchmarks: what is there, and is it in the right form?"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from trifocal.data.held import InTable, parquet_columns, parquet_table
from trifocal.errors import UserError


def first_there(root: Path, *names: str) -> Path:
    """Return the first of some files or folders below a root that is there, else the first."""
    return next((root / name for name in names if (root / name).exists()), root / names[0])


def read_json(path: Path, what: str) -> Any:
    """Return the content of a JSON file; `what` says what it should be, for an error.

    Raises:
        UserError: It cannot be read, or is no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} is not {what} ({error}); get it again.") from None


def read_list(path: Path, what: str) -> list[Any]:
    """Return the content of a JSON file that holds a list.

    Raises:
        UserError: It cannot be read, or is something else.
    """
    content = read_json(path, what)
    if not isinstance(content, list):
        raise UserError(f"{path} is not {what}: it must hold a list; get it again.")
    return content


def read_json_lines(path: Path, what: str) -> list[Any]:
    """Return what each line of a JSON-lines file holds."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        return [json.loads(line) for line in lines if line.strip()]
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} is not {what} ({error}); get it again.") from None


def read_csv(path: Path, columns: Sequence[str], what: str) -> Iterator[dict[str, str]]:
    """Yield the rows of a CSV file with a header, quoted newlines included.

    Raises:
        UserError: It cannot be read, lacks one of the columns, or a row has another length.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            absent = [name for name in columns if name not in (reader.fieldnames or ())]
            if absent:
                raise UserError(
                    f"{path} is not {what}: it has no column {absent[0]!r}; get it again."
                )
            for row in reader:
                if None in row or any(row[name] is None for name in columns):
                    raise UserError(
                        f"{path}, line {reader.line_num}, is not {what}: it has not as many cells as "
                        "the header; get it again."
                    )
                yield row
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(f"{path} is not {what} ({error}); get it again.") from None


def split_tables(root: Path, split: str = "test") -> list[Path]:
    """Return the parquet files of a split in order, in any layout that the Hub keeps; [] if none.

    A data set's own (`data/test-00000-of-00003.parquet`), or what the Hub made of it
    (`default/test/0000.parquet`).
    """
    layouts = (f"{split}-*", f"data/{split}-*", f"{split}/*", f"default/{split}/*")
    found = (sorted(root.glob(f"{layout}.parquet")) for layout in layouts)
    return next(filter(None, found), [])


def table_entries(
    paths: Iterable[Path],
    what: str,
    texts: Sequence[str],
    pictures: Sequence[str],
    more: Sequence[str] = (),
) -> Iterator[tuple[dict[str, Any], tuple[InTable, ...]]]:
    """Yield each row of parquet files, and where its pictures are.

    Args:
        paths: The files.
        what: What they should be, for an error.
        texts: Columns that are read; each cell must hold a text.
        pictures: Columns that must be there; their cells are opened when they are looked at.
        more: Columns that are read if they are there, whatever they hold.

    Raises:
        UserError: One is no parquet file, lacks a column, or a cell holds no text.
    """
    for path in paths:
        there = parquet_columns(path)
        for name in (*texts, *pictures):
            if name not in there:
                raise UserError(
                    f"{path} is not {what}: it has no column {name!r}, only {', '.join(there)}; get "
                    "it again."
                )
        columns = [*texts, *(name for name in more if name in there)]
        for number, row in enumerate(parquet_table(path, columns).to_pylist()):
            strings(row, texts, path, number, what)
            yield row, tuple(InTable(path, number, name) for name in pictures)


def strings(entry: Any, fields: Sequence[str], path: Path, where: object, what: str) -> list[str]:
    """Return the texts under some keys of one entry of a file.

    Raises:
        UserError: The entry is no mapping, or one of them is absent or no text.
    """
    found = [entry.get(name) for name in fields] if isinstance(entry, dict) else []
    texts = [one for one in found if isinstance(one, str)]
    if len(texts) < len(fields):
        raise malformed(path, where, what, ", ".join(fields))
    return texts


def malformed(path: Path, where: object, what: str, fields: str) -> UserError:
    """Return the error of an entry that is not in the benchmark's form."""
    return UserError(f"{path} is not {what}: entry {where} must have {fields}; get it again.")
