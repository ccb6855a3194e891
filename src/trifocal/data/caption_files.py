"""The forms in which captions are published, each read into rows.

Tables (CSV, TSV, JSON lines) with a column of image paths and one of captions; NegCLIP's TSV
(Yuksekgonul et al., ICLR 2023), a table whose `neg_caption` column lists hard negatives; Karpathy's
`dataset_coco.json`; COCO's `captions_*.json`; a JSON of photos with a list of captions each; and a
folder of pictures with a text file of the same name beside each. What cannot be used is counted.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from trifocal.data.classes import files_below, pictures
from trifocal.data.tables import not_text, open_text, table_records
from trifocal.data.written_lists import written_list
from trifocal.errors import UserError, nearest
from trifocal.tally import Tally

Format = Literal["auto", "table", "karpathy", "coco", "folder"]

IMAGE_COLUMNS = ("image", "filepath", "filename", "file_name", "image_path", "path")
CAPTION_COLUMNS = ("caption", "title", "text", "captions", "sentence")
NEGATIVE_COLUMN = "neg_caption"
_MAX_JSON = 4 << 30
_NO_CAPTIONS = frozenset({"readme", "license", "licence", "classnames"})  # texts of folders
_MISSING = frozenset({"nan", "null", "none"})  # what programs write for no caption


@dataclass(frozen=True, slots=True)
class Row:
    """An entry of a caption file.

    Attributes:
        image: Path of the picture, as it stands there.
        captions: What is said of it, without what is no text.
        split: The part it belongs to.
        negatives: Hard negatives written ahead.
        place: Where it stands: "line 7", "photo 3".
        wrong: What its other captions are, each with its place: "null", "a number".
    """

    image: str
    captions: tuple[str, ...]
    split: str | None = None
    negatives: tuple[str, ...] = ()
    place: str = ""
    wrong: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class CaptionFile:
    """A caption file and what is stated of it.

    Attributes:
        file: A file, or a folder of pictures with texts.
        format: Its form.
        image_column: A table's column of image paths.
        caption_column: A table's column of captions.
        encoding: Of its text; UTF-8 by default.
    """

    file: Path
    format: Format = "auto"
    image_column: str | None = None
    caption_column: str | None = None
    encoding: str | None = None


def read_rows(source: CaptionFile, tally: Tally) -> list[Row]:
    """Read every entry of a caption file or folder.

    Args:
        source: The file.
        tally: Told of what is no entry that a caption could be in.

    Raises:
        UserError: it cannot be read or is in none of the known forms.
    """
    file, format = source.file, source.format
    try:
        if format == "folder" or (format == "auto" and file.is_dir()):
            return _folder(source, tally)
        if not file.is_file():
            raise UserError(f"there is no caption file {file}; check data.path.")
        if format == "table" or (format == "auto" and file.suffix.lower() != ".json"):
            known = {*IMAGE_COLUMNS, *CAPTION_COLUMNS}
            known |= {name for name in (source.image_column, source.caption_column) if name}
            records = table_records(file, known, tally=tally, encoding=source.encoding)
            return _rows((("line", n, record) for n, record in records), source, tally)
        return _json(source, tally)
    except UnicodeError:
        raise not_text(file, source.encoding, "encoding (data.encoding in a recipe)") from None
    except OSError as error:
        raise UserError(f"cannot read {file} ({error.strerror}); check data.path.") from None


# -- tables ---------------------------------------------------------------------------------------


def _rows(
    records: Iterable[tuple[str, int, Mapping[str, Any]]], source: CaptionFile, tally: Tally
) -> list[Row]:
    rows, columns, file = [], None, source.file
    for kind, number, record in records:
        if columns is None:
            columns = (
                _column(record, source.image_column, IMAGE_COLUMNS, "image", file),
                _column(record, source.caption_column, CAPTION_COLUMNS, "caption", file),
            )
        place, image = f"{kind} {number}", record.get(columns[0])
        if not isinstance(image, str) or not image.strip():
            tally.leave_out("without a picture's path", place)
            continue
        captions, wrong = _captions(_unlisted(record.get(columns[1]) or None), place)
        negatives = _negatives(record, file)
        rows.append(Row(image, captions, _text(record.get("split")), negatives, place, wrong))
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
            cell = written_list(cell) or []
        except ValueError:
            raise UserError(
                f"{file} has a {NEGATIVE_COLUMN} that is no list ({cell[:60]!r}); "
                "write ['first', 'second']."
            ) from None
    return _captions(cell, "")[0]


def _unlisted(cell: Any) -> Any:
    """Return the captions of a cell that holds a written list of texts, else the cell."""
    if not isinstance(cell, str) or not cell.strip().startswith(("['", '["')):
        return cell
    try:
        return written_list(cell) or cell
    except ValueError:
        return cell


def _captions(value: Any, place: str) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    """Return the captions among one value or a list, on one line each, and what the others are."""
    texts: list[str] = []
    wrong: list[tuple[str, str]] = []
    for one in value if isinstance(value, list) else [value]:
        text = " ".join(one.split()) if isinstance(one, str) else ""
        if text and text.casefold() not in _MISSING:
            texts.append(text)
        else:
            wrong.append((_kind(one), place))
    return tuple(texts), tuple(wrong)


def _kind(value: Any) -> str:
    """Say what stands where a caption should."""
    if value is None or isinstance(value, str):
        return f"with the caption {value!r}" if value and value.strip() else "without a caption"
    kinds = {bool: "true or false", int: "a number", float: "a number", list: "a list"}
    return f"whose caption is {kinds.get(type(value), 'an object')}"


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


# -- JSON -----------------------------------------------------------------------------------------


def _json(source: CaptionFile, tally: Tally) -> list[Row]:
    file, format = source.file, source.format
    if file.stat().st_size > _MAX_JSON:
        raise UserError(f"{file} is larger than 4 GB; write it as JSON lines.")
    with open_text(file, source.encoding) as stream:
        text = stream.read().removeprefix("\ufeff")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        raise UserError(f"{file} is not proper JSON; check that it is complete.") from None
    if isinstance(content, list) and all(isinstance(record, dict) for record in content):
        return _rows((("entry", n, record) for n, record in _from_1(content)), source, tally)
    content = content if isinstance(content, dict) else {}
    photos = content.get("images")
    if isinstance(photos, list) and photos and all(isinstance(photo, dict) for photo in photos):
        try:
            if "annotations" in content and format in ("auto", "coco"):
                return _with_paths(_coco(photos, content["annotations"], tally), file)
            if any("sentences" in photo for photo in photos) and format in ("auto", "karpathy"):
                rows = [_karpathy(photo, f"photo {n}") for n, photo in _from_1(photos)]
                return _with_paths(rows, file)
            if any("captions" in photo for photo in photos) and format in ("auto", "coco"):
                rows = [_nested(photo, f"photo {n}") for n, photo in _from_1(photos)]
                return _with_paths(rows, file)
        except (KeyError, TypeError, AttributeError) as error:
            raise UserError(f"an entry of {file} lacks {error}; check its format.") from None
    raise UserError(
        f"{file} is neither a Karpathy nor a COCO caption file nor a list of entries; "
        "set data.format, or write a table."
    )


def _from_1(entries: Iterable[Any]) -> Iterable[tuple[int, Any]]:
    return enumerate(entries, start=1)


def _with_paths(rows: list[Row], file: Path) -> list[Row]:
    """Return rows of JSON, where a path may be anything.

    Raises:
        UserError: one is no text.
    """
    for row in rows:
        if not isinstance(row.image, str) or not row.image.strip():
            raise UserError(
                f"{row.place} of {file} has the path {row.image!r:.60}, which is no text; mend it."
            )
    return rows


def _karpathy(photo: Mapping[str, Any], place: str) -> Row:
    image = os.path.join(photo.get("filepath", ""), photo["filename"])
    sentences = photo.get("sentences")
    texts = [one["raw"] for one in sentences] if sentences is not None else None
    captions, wrong = _captions(texts, place)
    return Row(image, captions, _text(photo.get("split")), (), place, wrong)


def _nested(photo: Mapping[str, Any], place: str) -> Row:
    captions, wrong = _captions(photo.get("captions"), place)
    return Row(photo["file_name"], captions, _text(photo.get("split")), (), place, wrong)


def _coco(
    photos: Sequence[Mapping[str, Any]], notes: Sequence[Mapping[str, Any]], tally: Tally
) -> list[Row]:
    """Join photos with their annotations; ids may be numbers or the same as texts."""
    found: dict[str, list[tuple[Any, str]]] = {str(photo["id"]): [] for photo in photos}
    if len(found) < len(photos):
        twice = Counter(str(photo["id"]) for photo in photos).most_common(1)[0][0]
        raise UserError(f"two photos have the id {twice}; whose captions these are is not known.")
    for number, note in _from_1(notes):
        place = f"annotation {note.get('id', number)}"
        if str(note["image_id"]) not in found:
            tally.leave_out("whose image_id no photo has", place)
        else:
            found[str(note["image_id"])].append((note.get("caption"), place))
    rows = []
    for photo in photos:
        texts: list[str] = []
        wrong: list[tuple[str, str]] = []
        for caption, place in found[str(photo["id"])]:
            good, bad = _captions(caption, place)
            texts += good
            wrong += bad
        place = f"photo {photo['id']}"
        split = _text(photo.get("split"))
        rows.append(Row(photo["file_name"], tuple(texts), split, (), place, tuple(wrong)))
    return rows


# -- a folder -------------------------------------------------------------------------------------


def _folder(source: CaptionFile, tally: Tally) -> list[Row]:
    """Pair every picture under a folder with the lines of the text file of the same name.

    Raises:
        UserError: two pictures have the same text beside them, or no picture has one.
    """
    folder = source.file
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}; check data.path.")
    rows: list[Row] = []
    owner: dict[Path, str] = {}
    for path in pictures(folder, tally):
        name, text = str(path.relative_to(folder)), path.with_suffix(".txt")
        if not text.is_file():
            tally.leave_out("without a text beside it", name)
            continue
        if text in owner:
            raise UserError(
                f"{folder} has one text {text.name} for {owner[text]} and {name}; rename one of "
                "the pictures, and write a text for each."
            )
        owner[text] = name
        with open_text(text, source.encoding) as stream:
            lines = [
                line for line in stream.read().removeprefix("\ufeff").splitlines() if line.strip()
            ]
        captions, wrong = _captions(lines or None, name)
        rows.append(Row(name, captions, None, (), name, wrong))
    for text in files_below(folder):
        if text.suffix == ".txt" and text not in owner and text.stem.lower() not in _NO_CAPTIONS:
            tally.leave_out("text without a picture", str(text.relative_to(folder)))
    if not rows:
        raise UserError(f"{folder} has no picture with a .txt file beside it; write its captions.")
    return rows
