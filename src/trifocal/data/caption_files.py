"""The forms in which captions are published, each read into rows.

Tables (CSV, TSV, JSON lines) with a column of image paths and one of captions; NegCLIP's TSV
(Yuksekgonul et al., ICLR 2023), a table whose `neg_caption` column lists hard negatives; Karpathy's
`dataset_coco.json`; COCO's `captions_*.json`; a JSON of photos with a list of captions each; and a
folder of pictures with a text file of the same name beside each.
"""

from __future__ import annotations

import ast
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from trifocal.data.images import EXTENSIONS
from trifocal.data.tables import table_records
from trifocal.errors import UserError, nearest

Format = Literal["auto", "table", "karpathy", "coco", "folder"]

IMAGE_COLUMNS = ("image", "filepath", "filename", "file_name", "image_path", "path")
CAPTION_COLUMNS = ("caption", "title", "text", "captions", "sentence")
NEGATIVE_COLUMN = "neg_caption"
_MAX_JSON = 4 << 30


@dataclass(frozen=True, slots=True)
class Row:
    """An entry of a caption file, as it stands there."""

    image: str
    captions: tuple[str, ...]
    split: str | None = None
    negatives: tuple[str, ...] = ()


def read_rows(
    file: Path, format: Format, image_column: str | None, caption_column: str | None
) -> list[Row]:
    """Read every entry of a caption file or folder.

    Raises:
        UserError: it cannot be read or is in none of the known forms.
    """
    try:
        if format == "folder" or (format == "auto" and file.is_dir()):
            return _folder(file)
        if not file.is_file():
            raise UserError(f"there is no caption file {file}; check data.path.")
        if format == "table" or (format == "auto" and file.suffix != ".json"):
            records = table_records(file, {*IMAGE_COLUMNS, *CAPTION_COLUMNS})
            return _rows(records, file, image_column, caption_column)
        return _json(file, format, image_column, caption_column)
    except UnicodeDecodeError:
        raise UserError(f"{file} is not UTF-8 text; save it as UTF-8.") from None
    except OSError as error:
        raise UserError(f"cannot read {file} ({error.strerror}); check data.path.") from None


# -- tables ---------------------------------------------------------------------------------------


def _rows(
    records: Iterable[Mapping[str, Any]],
    file: Path,
    image_column: str | None,
    caption_column: str | None,
) -> list[Row]:
    rows, columns = [], None
    for record in records:
        if columns is None:
            columns = (
                _column(record, image_column, IMAGE_COLUMNS, "image", file),
                _column(record, caption_column, CAPTION_COLUMNS, "caption", file),
            )
        image, caption = record.get(columns[0]), record.get(columns[1])
        if not isinstance(image, str) or not image:
            raise UserError(f"entry {len(rows) + 1} of {file} names no image; mend or remove it.")
        rows.append(
            Row(image, _texts(caption), _text(record.get("split")), _negatives(record, file))
        )
    return rows


def _column(
    record: Mapping[str, Any], asked: str | None, usual: Sequence[str], what: str, file: Path
) -> str:
    """Return the name of a table's column of images or captions."""
    names = [str(name) for name in record]
    if asked is None:
        for name in usual:
            if name in record:
                return name
    elif asked in record:
        return asked
    wanted = f"{asked!r}" if asked is not None else f"of {what}s ({', '.join(usual)})"
    hint = nearest(asked, names) if asked is not None else ""
    raise UserError(
        f"{file} has no column {wanted}, only {', '.join(map(repr, names))}; "
        f"set data.{what}_column to one of them.{hint}"
    )


def _negatives(record: Mapping[str, Any], file: Path) -> tuple[str, ...]:
    """Return the hard negatives of a row: a JSON list, or NegCLIP's Python-like list."""
    cell = record.get(NEGATIVE_COLUMN)
    if not cell:
        return ()
    if isinstance(cell, str):
        try:
            tree = ast.parse(cell.strip(), mode="eval").body  # only read, never run
            elements = tree.elts if isinstance(tree, ast.List) else []
            cell = [node.value for node in elements if isinstance(node, ast.Constant)]
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise UserError(
                f"{file} has a {NEGATIVE_COLUMN} that is no list ({cell[:60]!r}); "
                "write ['first', 'second']."
            ) from None
    return _texts(cell)


def _texts(value: Any) -> tuple[str, ...]:
    """Return one text or a list of texts as a tuple."""
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list):
        return tuple(item for item in value if isinstance(item, str))
    return ()


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


# -- JSON -----------------------------------------------------------------------------------------


def _json(
    file: Path, format: Format, image_column: str | None, caption_column: str | None
) -> list[Row]:
    if file.stat().st_size > _MAX_JSON:
        raise UserError(f"{file} is larger than 4 GB; write it as JSON lines.")
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError):
        raise UserError(f"{file} is not proper JSON; check that it is complete.") from None
    if isinstance(content, list) and all(isinstance(record, dict) for record in content):
        return _rows(content, file, image_column, caption_column)
    content = content if isinstance(content, dict) else {}
    photos = content.get("images")
    if isinstance(photos, list) and photos and all(isinstance(photo, dict) for photo in photos):
        try:
            if "sentences" in photos[0] and format in ("auto", "karpathy"):
                return [_karpathy(photo) for photo in photos]
            if "captions" in photos[0] and format in ("auto", "coco"):
                return [_nested(photo) for photo in photos]
            if "annotations" in content and format in ("auto", "coco"):
                return _coco(photos, content["annotations"])
        except (KeyError, TypeError, AttributeError) as error:
            raise UserError(f"an entry of {file} lacks {error}; check its format.") from None
    raise UserError(
        f"{file} is neither a Karpathy nor a COCO caption file nor a list of entries; "
        "set data.format, or write a table."
    )


def _karpathy(photo: Mapping[str, Any]) -> Row:
    image = os.path.join(photo.get("filepath", ""), photo["filename"])
    sentences = tuple(sentence["raw"] for sentence in photo["sentences"])
    return Row(image, sentences, _text(photo.get("split")))


def _nested(photo: Mapping[str, Any]) -> Row:
    return Row(photo["file_name"], _texts(photo["captions"]), _text(photo.get("split")))


def _coco(photos: Iterable[Mapping[str, Any]], notes: Iterable[Mapping[str, Any]]) -> list[Row]:
    captions: dict[Any, list[str]] = {}
    for note in notes:
        captions.setdefault(note["image_id"], []).append(note["caption"])
    return [
        Row(photo["file_name"], tuple(captions.get(photo["id"], ())), _text(photo.get("split")))
        for photo in photos
    ]


# -- a folder -------------------------------------------------------------------------------------


def _folder(folder: Path) -> list[Row]:
    """Pair every picture under `folder` with the lines of the text file of the same name."""
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}; check data.path.")
    rows = []
    for path in sorted(folder.rglob("*")):
        text = path.with_suffix(".txt")
        if path.suffix.lower() in EXTENSIONS and text.is_file():
            lines = text.read_text(encoding="utf-8-sig").splitlines()
            rows.append(Row(str(path.relative_to(folder)), tuple(lines)))
    if not rows:
        raise UserError(f"{folder} has no picture with a .txt file beside it; write its captions.")
    return rows
