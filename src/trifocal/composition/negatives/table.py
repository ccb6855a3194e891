"""Caption tables with hard negatives, in the format of NegCLIP's `train_neg_clip.tsv`.

NegCLIP (Yuksekgonul et al., ICLR 2023, arXiv 2210.01936) trains from a tab-separated table with an
unnamed row number and the columns `title`, `filepath`, `neg_caption` (a list of strings, written
as Python writes it) and `neg_image` (a list of row numbers of similar images).
"""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from trifocal.composition.negatives.generator import HardNegatives
from trifocal.errors import UserError
from trifocal.files import atomic_write, check_file
from trifocal.files.asides import hold

_KIND = "table of negatives"
COLUMNS = ("", "title", "filepath", "neg_caption", "neg_image")
_AHEAD = 512  # captions parsed together


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row: a caption, its image, its negative captions, and rows with similar images."""

    title: str
    filepath: str
    negatives: tuple[str, ...] = ()
    similar: tuple[int, ...] = ()


def _line(number: int, row: TableRow) -> str:
    """A row as it stands in the file."""
    buffer = io.StringIO()
    # before 3.13 the writer leaves a lone carriage return unquoted, and the reader breaks there
    quoting = csv.QUOTE_ALL if "\r" in row.title + row.filepath else csv.QUOTE_MINIMAL
    writer = csv.writer(buffer, delimiter="\t", lineterminator="\n", quoting=quoting)
    writer.writerow([number, row.title, row.filepath, list(row.negatives), list(row.similar)])
    return buffer.getvalue()


_HEADER = "\t".join(COLUMNS) + "\n"


def check_table(path: str | os.PathLike[str]) -> None:
    """Refuse a path that no table can be written to.

    Raises:
        UserError: it does not end in .tsv, or it is there: a table cannot say that it is ours.
    """
    if Path(path).suffix.lower() != ".tsv":
        raise UserError(f"{path} is to be a tab-separated table; end its name in .tsv.")
    check_file(path, _KIND)


def write_table(rows: Iterable[TableRow], path: str | os.PathLike[str]) -> None:
    """Write a table in NegCLIP's format; the file appears when it is complete.

    Raises:
        UserError: see `check_table`, or nothing can be written there.
    """
    check_table(path)
    with atomic_write(path, _KIND) as aside, open(aside, "w", encoding="utf-8", newline="") as file:
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
        path: the table, which must not exist.
        negatives: makes the negatives; its seed is used.
        count: draws per caption; equal negatives are written once.
        progress: called with the number of rows done.

    Returns:
        The number of rows.
    """
    check_table(path)
    target = Path(os.path.realpath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{_settings(negatives, count)}.part")
    rows: list[TableRow] = []
    with open(part, "a+b") as file:
        if hold(file.fileno(), wait=False) is False:
            raise UserError(f"another process is writing {path}; wait for it.")
        kept = _finished_rows(file)
        for number, (caption, filepath) in enumerate(_ahead(items, negatives, len(kept))):
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


def _ahead(
    items: Iterable[tuple[str, str]], negatives: HardNegatives, skip: int
) -> Iterator[tuple[str, str]]:
    """Yield the items; captions after the first `skip` are parsed in batches before they come."""
    rest = iter(items)
    yield from itertools.islice(rest, skip)
    while batch := list(itertools.islice(rest, _AHEAD)):
        negatives.warm_up(caption for caption, _ in batch)
        yield from batch


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
        except (ValueError, TypeError, RecursionError):
            break
        texts = [title, filepath, *negatives] if isinstance(negatives, list) else [None]
        if not line.endswith(b"\n") or not all(isinstance(text, str) for text in texts):
            break
        rows.append(TableRow(title, filepath, tuple(negatives)))
        end += len(line)
    file.truncate(end)
    file.seek(end)
    return rows
