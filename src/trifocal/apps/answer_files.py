"""Answers about many regions as a file; its name's ending says in which form."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from trifocal.errors import UserError
from trifocal.files import atomic_write, check_file

LINES = ".jsonl"  # grows line by line, and can be gone on with
ENDINGS = (LINES, ".json", ".csv", ".tsv")
_PICTURES = (".png", ".jpg", ".jpeg", ".webp")
_KIND = "table of answers"
_BEGINS = b'{"run": "'  # a line, as `region_lists` writes it

Record = dict[str, Any]


def check_answers(out: str | os.PathLike[str], what: str, by: str) -> None:
    """Refuse a file that answers cannot be written to; commands ask before they load a model.

    Args:
        out: The file.
        what: What is written, in the plural.
        by: The command that writes it.

    Raises:
        UserError: its ending is none of `ENDINGS`, or it is there and holds something else.
    """
    suffix = Path(out).suffix.lower()
    if suffix not in ENDINGS:
        form = "is a picture" if suffix in _PICTURES else "does not end as a form of answers does"
        raise UserError(f"--out {out} {form}; {what} are {', '.join(ENDINGS)}.")
    if suffix != LINES or not Path(out).is_file():
        check_file(out, _KIND)
        return
    try:
        with open(out, "rb") as file:
            start = file.read(len(_BEGINS))
    except OSError as error:
        raise UserError(f"cannot read {out} ({error.strerror}); give another --out.") from None
    if not _BEGINS.startswith(start):
        raise UserError(f"{out} is not what `{by}` wrote; give another --out.")


def write_table(out: str | os.PathLike[str], records: Sequence[Record]) -> None:
    """Write answers as a JSON list, or as a table with comma or tab, by the ending.

    A table has a row for each picture, or for each of its explanations.

    Raises:
        UserError: it is there already, or cannot be written.
    """
    suffix = Path(out).suffix.lower()
    with atomic_write(out, _KIND) as aside:
        if suffix == ".json":
            aside.write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")
            return
        rows = [row for record in records for row in _rows(record)]
        columns = list(dict.fromkeys(key for row in rows for key in row)) or ["image"]
        # File names that are no UTF-8 go out with the bytes that they came with.
        with open(aside, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            delimiter = "\t" if suffix == ".tsv" else ","
            writer = csv.DictWriter(file, columns, delimiter=delimiter, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


def _rows(record: Record) -> Iterator[Record]:
    """Yield the rows of an answer: classes after the first are further columns."""
    facts = {
        key: json.dumps(value) if isinstance(value, list | dict) else value
        for key, value in record.items()
        if key not in ("run", "top", "explanations")
    }
    for rank, each in enumerate(record.get("top", [])[1:], start=2):
        facts |= {f"{key}_{rank}": value for key, value in each.items()}
    for each in record.get("explanations", [{}]):
        yield {**facts, **each}
