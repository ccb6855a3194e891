"""Caption tables with hard negatives, in the format of NegCLIP's `train_neg_clip.tsv`.

NegCLIP (Yuksekgonul et al., ICLR 2023, arXiv 2210.01936) trains from a tab-separated table with an
unnamed row number and the columns `title`, `filepath`, `neg_caption` (a list of strings, written
as Python writes it) and `neg_image` (a list of row numbers of similar images).
"""

from __future__ import annotations

import ast
import csv
import hashlib
import io
import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar

import numpy as np

from trifocal.composition.negatives.generator import HardNegatives
from trifocal.errors import UserError
from trifocal.files import atomic_write

COLUMNS = ("", "title", "filepath", "neg_caption", "neg_image")
Item = TypeVar("Item", str, int)

_LONGEST_LIST = 100_000  # characters of one written list; longer ones are refused unread


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row: a caption, its image, its negative captions, and rows with similar images."""

    title: str
    filepath: str
    negatives: tuple[str, ...] = ()
    similar: tuple[int, ...] = ()


def read_table(path: str | os.PathLike[str]) -> list[TableRow]:
    """Read a table in NegCLIP's format.

    Lists are read as literals and never evaluated.

    Raises:
        UserError: the file is missing, lacks a column, or a list cannot be read.
    """
    rows = []
    try:
        with open(path, encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, delimiter="\t")
            _check_columns(path, reader.fieldnames or ())
            for number, row in enumerate(reader):
                place = f"row {number} of {path}"
                negatives = read_list(row["neg_caption"], str, place)
                similar = read_list(row.get("neg_image") or "[]", int, place)
                rows.append(TableRow(row["title"], row["filepath"], negatives, similar))
    except FileNotFoundError:
        raise UserError(f"there is no caption table at {path}; check the path.") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise UserError(
            f"{path} is not a tab-separated caption table ({error}); export it again as UTF-8 "
            "text with tabs."
        ) from error
    return rows


def _check_columns(path: str | os.PathLike[str], found: Iterable[str]) -> None:
    missing = [name for name in COLUMNS[1:4] if name not in set(found)]
    if missing:
        raise UserError(
            f"{path} lacks the column {missing[0]!r}; a table with hard negatives is "
            f"tab-separated and has the columns {', '.join(COLUMNS[1:])}."
        )


def read_list(text: str | None, kind: type[Item], place: str) -> tuple[Item, ...]:
    """Read a list literal such as `['a dog', 'a cat']` whose items are all of one kind.

    Args:
        text: the literal.
        kind: `str` or `int`.
        place: where it stands, for the error message.

    Raises:
        UserError: the text is too long or is no such list.
    """
    content = None
    if text is not None and len(text) <= _LONGEST_LIST:
        try:
            content = ast.literal_eval(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            content = None
    if not isinstance(content, list) or not all(type(item) is kind for item in content):
        shown = repr(text if text is None or len(text) < 60 else f"{text[:57]}...")
        raise UserError(
            f"{place} should hold a list of {'strings' if kind is str else 'row numbers'} such as "
            f"{['a dog'] if kind is str else [3, 7]}, not {shown}; mend or leave out the row."
        )
    return tuple(content)


def _line(number: int, row: TableRow) -> str:
    """A row as it stands in the file."""
    buffer = io.StringIO()
    # before 3.13 the writer leaves a lone carriage return unquoted, and the reader breaks there
    quoting = csv.QUOTE_ALL if "\r" in row.title + row.filepath else csv.QUOTE_MINIMAL
    writer = csv.writer(buffer, delimiter="\t", lineterminator="\n", quoting=quoting)
    writer.writerow([number, row.title, row.filepath, list(row.negatives), list(row.similar)])
    return buffer.getvalue()


_HEADER = "\t".join(COLUMNS) + "\n"


def write_table(rows: Iterable[TableRow], path: str | os.PathLike[str]) -> None:
    """Write a table in NegCLIP's format; the file appears when it is complete."""
    with atomic_write(path) as aside, open(aside, "w", encoding="utf-8", newline="") as file:
        file.write(_HEADER)
        file.writelines(_line(number, row) for number, row in enumerate(rows))


def prepare_table(
    items: Iterable[tuple[str, str]],
    path: str | os.PathLike[str],
    negatives: HardNegatives,
    count: int = 1,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Write captions with hard negatives made ahead.

    Each row draws from its own generator, made from the seed and the row's number. Rows collect in
    a hidden file beside `path`; after an interruption the same call goes on where it stopped and
    gives the same table.

    Args:
        items: captions and image paths.
        path: the table.
        negatives: makes the negatives; its seed is used.
        count: draws per caption; equal negatives are written once.
        progress: called with the number of rows done.

    Returns:
        The number of rows.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{_settings(negatives, count)}.part")
    rows: list[TableRow] = []
    with open(part, "a+b") as file:
        kept = _finished_rows(file)
        for number, (caption, filepath) in enumerate(items):
            title = negatives.prepare_caption(caption)
            if number < len(kept) and (kept[number].title, kept[number].filepath) != (
                title,
                filepath,
            ):
                raise UserError(
                    f"{part} holds rows of an interrupted run over other captions (row {number} "
                    "differs); delete it, then run again."
                )
            if number < len(kept):
                row = kept[number]
            else:
                rng = np.random.default_rng([negatives.seed, number])
                row = TableRow(title, filepath, _draw(negatives, title, rng, count))
                file.write(json.dumps([title, filepath, row.negatives]).encode() + b"\n")
            rows.append(row)
            if progress is not None:
                progress(number + 1)
    write_table(rows, target)
    part.unlink()
    return len(rows)


def _settings(negatives: HardNegatives, count: int) -> str:
    """A short name for all that decides the draws, so that only like is continued with like."""
    sources = (negatives.parser_name, negatives.lexicon_name)
    parts = (negatives.kinds, *sources, negatives.seed, negatives.normalize, count)
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]


def _draw(
    negatives: HardNegatives, title: str, rng: np.random.Generator, count: int
) -> tuple[str, ...]:
    """The different negatives of `count` draws, in the order in which they came."""
    drawn = (text for _ in range(count) for text in negatives(title, rng).values())
    return tuple(dict.fromkeys(text for text in drawn if text is not None))


def _finished_rows(file: BinaryIO) -> list[TableRow]:
    """The rows of an interrupted run; a row that was cut off is removed from the file."""
    rows, end = [], 0
    file.seek(0)
    for line in file:
        try:
            title, filepath, negatives = json.loads(line)
        except ValueError:
            break
        if not line.endswith(b"\n"):
            break
        rows.append(TableRow(title, filepath, tuple(negatives)))
        end += len(line)
    file.truncate(end)
    file.seek(end)
    return rows
