"""The files of FG-OVD, in the authors' layout (COCO's) and in FG-CLIP's lines."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trifocal.data.box_formats import read_box
from trifocal.data.json_stream import json_file
from trifocal.data.regions import Region
from trifocal.errors import UserError

# What each part is called in files: the authors', then FG-CLIP's.
NAMES: dict[str, tuple[str, ...]] = {
    "hard": ("1_attributes", "h_attributes"),
    "medium": ("2_attributes", "m_attributes"),
    "easy": ("3_attributes", "e_attributes"),
    "trivial": ("shuffle_negatives",),
    "color": ("color",),
    "material": ("material",),
    "pattern": ("pattern",),
    "transparency": ("transparency",),
}
LEVELS = ("hard", "medium", "easy", "trivial")
_FOLDERS = ("", "benchmarks", "fgovd_json")
_TABLES = ("images", "categories", "annotations")


@dataclass(frozen=True)
class BoxTexts:
    """A box of a photo, and what may be in it: the truth first, then the foils."""

    region: Region
    texts: tuple[str, ...]


def part_file(root: Path, part: str) -> Path:
    """Return the file of a part: the first that is there, else where the authors have it."""
    names = [f"{name}.json" for name in NAMES[part]]
    names += [f"{name}_llava.jsonl" for name in NAMES[part]]
    places = [root / folder / name for folder in _FOLDERS for name in names]
    return next((place for place in places if place.is_file()), places[0])


def read_part(path: Path, photo: Callable[[str], Path]) -> list[BoxTexts]:
    """Read the questions of a file of either kind.

    Args:
        path: JSON in COCO's layout, or JSON lines.
        photo: Says where a photo lies by the name that the file gives it.

    Raises:
        UserError: It is in another form.
    """
    read = _lines(path, photo) if path.suffix == ".jsonl" else _annotations(path, photo)
    return list(read)


def _annotations(path: Path, photo: Callable[[str], Path]) -> Iterator[BoxTexts]:
    """Yield a question for each annotation: its category against its own negative ones.

    An image lists negative categories, too, but those of all its boxes together.
    """
    content = json_file(path)
    content = content if isinstance(content, dict) else {}
    images, categories, annotations = (content.get(key) for key in _TABLES)
    if not (
        isinstance(images, list) and isinstance(categories, list) and isinstance(annotations, list)
    ):
        raise UserError(
            f"{path} is not an FG-OVD file: it must have {', '.join(_TABLES)}; get it again."
        )
    photos = {one["id"]: one for one in images if _numbered(one)}
    names = {one["id"]: one.get("name") for one in categories if _numbered(one)}
    for number, entry in enumerate(annotations):
        try:
            own = photos[entry["image_id"]]
            texts = [names[key] for key in (entry["category_id"], *entry["neg_category_ids"])]
            frame = (own["width"], own["height"])
            box = read_box(entry.get("bbox"))
            if not all(type(side) is int and 0 < side < 1 << 31 for side in frame):
                raise ValueError
            region = Region(photo(_text(own["file_name"])), (box,), frame)
            yield BoxTexts(region, _texts(texts))
        except (KeyError, TypeError, ValueError, AttributeError):
            raise _malformed(
                path, f"annotation {number}", "bbox, image_id, category_id, neg_category_ids"
            ) from None


def _lines(path: Path, photo: Callable[[str], Path]) -> Iterator[BoxTexts]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is not an FG-OVD file ({error}); get it again.") from None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            texts = [*entry["pos_expression"][:1], *entry["neg_expression"]]
            region = Region(photo(_text(entry["img_path"])), (read_box(entry["bbox"]),))
            yield BoxTexts(region, _texts(texts))
        except (KeyError, TypeError, ValueError, RecursionError):
            fields = "img_path, bbox, pos_expression, neg_expression"
            raise _malformed(path, f"line {number}", fields) from None


def _numbered(entry: Any) -> bool:
    """Return whether an entry of a table has an id that others can name."""
    return isinstance(entry, dict) and isinstance(entry.get("id"), int | str)


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError
    return value


def _texts(values: list[Any]) -> tuple[str, ...]:
    """Return a truth and at least one foil."""
    if len(values) < 2:
        raise ValueError
    return tuple(_text(value) for value in values)


def _malformed(path: Path, where: str, fields: str) -> UserError:
    return UserError(
        f"{path} is not an FG-OVD file: {where} must have {fields}, and at least one foil; "
        "get it again."
    )
