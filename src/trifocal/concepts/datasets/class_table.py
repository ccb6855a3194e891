"""A table of pictures with their classes: CSV, TSV or JSON lines.

Columns: the path of a picture, from the table's folder; its class, as a name, a number, or both;
perhaps its part. Other columns are ignored.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from trifocal.concepts.datasets.dataset import PARTS
from trifocal.concepts.datasets.parts import apart, divide
from trifocal.concepts.datasets.split_files import (
    Entry,
    Split,
    absent,
    check_names,
    make_split,
)
from trifocal.data.classes import natural
from trifocal.data.copies import copies
from trifocal.data.tables import table_records
from trifocal.errors import UserError
from trifocal.tally import MOST_LEFT_OUT

logger = logging.getLogger(__name__)

PATH_COLUMNS = ("path", "image", "filepath", "filename", "file_name", "image_path")
NAME_COLUMNS = ("class", "classname", "class_name", "category")
LABEL_COLUMNS = ("label",)
SPLIT_COLUMNS = ("split", "part")
PART_WORDS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}


def read_class_table(
    file: Path, *, val: float, test: float, seed: int, most_left_out: float = MOST_LEFT_OUT
) -> tuple[Path, Split]:
    """Read a table.

    Args:
        file: The table.
        val: Share of each class for validation, where the table has no parts.
        test: The same for test.
        seed: Of this division.
        most_left_out: The largest share of pictures that may be left out as copies of others.

    Returns:
        The folder that the paths start from, and the parts.

    Raises:
        UserError: it cannot be read, lacks a column, has a row without path, class or part, or
            pictures are missing.
    """
    try:
        known = {*PATH_COLUMNS, *NAME_COLUMNS, *LABEL_COLUMNS}
        rows = [row for _, row in table_records(file, known)]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {file} ({error}); give a folder, or a UTF-8 table.") from None
    if not rows:
        raise UserError(f"{file} has no rows; write a path and a class a line.")
    paths = [_cell(row, _column(rows[0], PATH_COLUMNS, file), i, file) for i, row in _from_1(rows)]
    images, paths = _relative(paths, file.parent)
    labels, names = _classes(rows, file)
    parts: dict[str, list[Entry]] = {part: [] for part in PARTS}
    places = _parts(rows, file)
    for entry, place in zip(zip(paths, labels, names, strict=True), places, strict=True):
        parts[place].append(entry)
    if not parts["train"]:
        raise UserError(f"{file} has no training pictures; mark some with the split train.")
    split = make_split(parts, str(file))
    names = tuple(name.replace("_", " ") for name in split.classnames)
    check_names(names, split.classnames)
    gone = absent(images, [*split.train, *split.val, *split.test])
    if gone:
        raise UserError(
            f"{len(gone)} pictures of {file} are missing (first {images / gone[0]}); paths start "
            "from the table's folder."
        )
    if _first(rows[0], SPLIT_COLUMNS) is None:
        same = copies([images / item.path for item in split.train], str(file))
        parts_made = divide(split.train, val=val, test=test, seed=seed, together=same)
        return images, Split(names, *parts_made)
    if not split.test:  # as with ImageNet: what is tested on is not selected on
        split = Split(names, split.train, (), split.val)
    split = Split(names, split.train, split.val, split.test)
    return images, apart(split, images, str(file), most_left_out)


def _from_1(rows: list[dict[str, Any]]) -> Iterator[tuple[int, dict[str, Any]]]:
    return iter(enumerate(rows, start=1))


def _column(row: Mapping[str, Any], usual: Sequence[str], file: Path) -> str:
    found = _first(row, usual)
    if found is None:
        raise UserError(
            f"{file} has no column {' or '.join(usual)}, only {', '.join(map(str, row))}; rename "
            "one."
        )
    return found


def _first(row: Mapping[str, Any], usual: Sequence[str]) -> str | None:
    return next((name for name in usual if name in row), None)


def _cell(row: Mapping[str, Any], column: str, number: int, file: Path) -> str:
    value = row.get(column)
    text = str(value).strip() if isinstance(value, str | int) and value is not True else ""
    if not text:
        raise UserError(f"row {number} of {file} has no {column}; mend or remove it.")
    return text


def _classes(rows: list[dict[str, Any]], file: Path) -> tuple[list[int], list[str]]:
    """Return a label and a class name for each row."""
    label_column = _first(rows[0], LABEL_COLUMNS)
    name_column = _first(rows[0], NAME_COLUMNS)
    if name_column is None or label_column is None:
        column = name_column or label_column or _column(rows[0], NAME_COLUMNS + LABEL_COLUMNS, file)
        names = [_cell(row, column, i, file) for i, row in _from_1(rows)]
        distinct = set(names)
        numbers = all(name.isdecimal() for name in distinct)
        if numbers:
            logger.warning(
                "%s names its classes by numbers only; heads that read class names need a column "
                "class",
                file,
            )
        ordered = sorted(distinct, key=lambda name: (natural(name), name))
        places = {name: label for label, name in enumerate(ordered)}
        return [places[name] for name in names], names
    labels = []
    for number, row in _from_1(rows):
        text = _cell(row, label_column, number, file)
        if not text.isdecimal():
            raise UserError(
                f"row {number} of {file}: the label {text!r} is not an integer from 0 on."
            )
        labels.append(int(text))
    return labels, [_cell(row, name_column, i, file) for i, row in _from_1(rows)]


def _parts(rows: list[dict[str, Any]], file: Path) -> list[str]:
    """Return the part of each row; "train" throughout where the table has none."""
    column = _first(rows[0], SPLIT_COLUMNS)
    if column is None:
        return ["train"] * len(rows)
    parts = []
    for number, row in _from_1(rows):
        word = _cell(row, column, number, file)
        if word.lower() not in PART_WORDS:
            raise UserError(
                f"row {number} of {file} has the {column} {word!r}; write train, val or test."
            )
        parts.append(PART_WORDS[word.lower()])
    return parts


def _relative(paths: list[str], folder: Path) -> tuple[Path, list[str]]:
    """Return the image folder and paths from there; it is the table's unless all are absolute."""
    if not all(os.path.isabs(path) for path in paths):
        return folder, paths
    common = os.path.commonpath([os.path.dirname(path) for path in paths])
    return Path(common), [os.path.relpath(path, common) for path in paths]
