"""Object annotations in COCO's layout (Lin et al., ECCV 2014): photos, boxes, and what is in them.

A file is one JSON object: `images` (id, file_name, width, height), `categories` (id, name) and
`annotations` (image_id, category_id, bbox as left, top, width, height in pixels of `width` x
`height`, iscrowd). Copies that keep each photo's annotations inside its image (`boxes` or
`annotations`), or categories as {id: name}, are read as well. Photos may have been scaled since:
boxes keep the frame that they were measured in.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from trifocal.data.box_formats import fault, is_number, read_box
from trifocal.data.boxes import iou
from trifocal.data.json_stream import json_file
from trifocal.data.regions import Box, Region
from trifocal.errors import UserError
from trifocal.tally import Tally

Split = Literal["all", "train", "val", "test"]

_SHARES = (("train", 0.5), ("val", 0.7), ("test", 1.0))  # upper ends of the parts
_INSIDE = ("boxes", "annotations")  # where an image may hold its own annotations


@dataclass(frozen=True)
class Thing:
    """An annotated object of a photo.

    Attributes:
        id: Names it in results: the photo's name and the object's number in it.
        category: What it is.
        box: Left, top, width and height, in the photo's frame.
        crowd: Whether the box holds a group of such objects instead of one.
    """

    id: str
    category: str
    box: Box
    crowd: bool = False


@dataclass(frozen=True)
class AnnotatedPhoto:
    """A photo with all its annotated objects.

    Attributes:
        name: Its file name without the ending; the part it belongs to hangs on it alone.
        path: Where it lies.
        frame: Width and height that boxes were measured in.
        things: Its objects.
    """

    name: str
    path: Path
    frame: tuple[int, int]
    things: tuple[Thing, ...]

    def region(self, thing: Thing) -> Region:
        """Return where an object is."""
        return Region(self.path, (thing.box,), self.frame)

    def shown(self, least_area: float) -> list[Thing]:
        """Return the objects that can be asked about: single ones, and not too small.

        Args:
            least_area: Share of the photo that a box must cover at least.
        """
        whole = (0.0, 0.0, float(self.frame[0]), float(self.frame[1]))
        area = whole[2] * whole[3]
        return [
            thing
            for thing in self.things
            if not thing.crowd and _inside(thing.box, whole) >= least_area * area
        ]


@dataclass(frozen=True)
class AnnotatedPhotos:
    """An annotation file: photos in its order, and all its categories, whether they occur or not."""

    photos: tuple[AnnotatedPhoto, ...]
    categories: tuple[str, ...]


def split_of(name: str) -> str:
    """Return the part of a photo, "train" (50 %), "val" (20 %) or "test" (30 %), by its name alone.

    One photo is in one part whatever file or folder it comes in: the SHA-256 of its name decides.
    """
    place = int(hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:8], 16) / 16**8
    return next(part for part, end in _SHARES if place < end)


def in_split(photos: Iterable[AnnotatedPhoto], split: Split) -> list[AnnotatedPhoto]:
    """Return the photos of a part; "all" of them if that is asked."""
    return [one for one in photos if split in ("all", split_of(one.name))]


def read_coco(
    file: str | os.PathLike[str],
    images: str | os.PathLike[str] | None = None,
    *,
    missing: Literal["error", "skip"] = "error",
    tally: Tally | None = None,
) -> AnnotatedPhotos:
    """Read an annotation file.

    Args:
        file: JSON, zipped or not.
        images: Folder that file names start from; by default it is looked for beside the file (see
            `picture_folder`).
        missing: Refuse a file whose photos are not all there, or leave these out.
        tally: Told of photos that are used, and of objects that cannot be.

    Raises:
        UserError: it is not in this layout, names two categories alike, or a photo is missing.
    """
    file = Path(file)
    data = json_file(file)
    if not isinstance(data, dict) or not isinstance(data.get("images"), list):
        raise UserError(
            f"{file} has no list of images; give object annotations in COCO's layout, such as "
            "instances_val2017.json (a file of captions has no boxes)."
        )
    names = _categories(data.get("categories"), file)
    inside = _by_image(data.get("annotations"), file)
    tally = tally or Tally(str(file))
    records = list(_images(data["images"], file))
    folder = Path(images) if images else picture_folder(file, [one["file_name"] for one in records])
    photos, absent = [], []
    for record in records:
        path = folder / record["file_name"]
        if not _is_file(path):
            absent.append(path)
            continue
        name = path.stem
        own = next((record[key] for key in _INSIDE if isinstance(record.get(key), list)), None)
        entries = inside.get(record.get("id"), []) if own is None else own
        frame = record["width"], record["height"]
        things = tuple(_things(entries, name, frame, names, tally))
        photos.append(AnnotatedPhoto(name, path, frame, things))
        tally.use()
    if absent and (missing == "error" or not photos):
        raise UserError(
            f"{absent[0]} and {len(absent) - 1} more of {len(records)} photos are missing; set "
            "images to the folder that the file names start from, or leave out what is missing."
        )
    tally.close()
    return AnnotatedPhotos(tuple(photos), tuple(dict.fromkeys(names.values())))


def picture_folder(file: Path, names: Sequence[str]) -> Path:
    """Return where the photos of an annotation file lie: the first folder that has one of them.

    Beside the file; in a folder of its name (`coco.json`, `coco/`); or as COCO is unpacked
    (`annotations/instances_val2017.json`, `val2017/`). The file's own folder where none has any.
    """
    places = [
        file.parent,
        file.parent / file.stem,
        file.parent.parent / file.stem.removeprefix("instances_"),
        file.parent / "images",
    ]
    found = (place for place in places for name in names[:20] if _is_file(place / name))
    return next(found, file.parent)


def _images(records: Sequence[Any], file: Path) -> Iterator[dict[str, Any]]:
    """Yield the image records, checked."""
    seen: set[str] = set()
    for number, record in enumerate(records):
        where = f"image {number} of {file}"
        name = record.get("file_name") if isinstance(record, dict) else None
        name = name if isinstance(name, str) else ""
        path = PurePosixPath(name)
        if not path.name or path.is_absolute() or ".." in path.parts or set(name) & set("\\\0"):
            raise UserError(f"{where} has no file name that lies below a folder; correct it.")
        for side in ("width", "height"):
            if type(record.get(side)) is not int or not (
                is_number(record[side]) and record[side] > 0
            ):
                raise UserError(f"{where} ({name}) has no {side} in pixels; correct it.")
        if name in seen:
            raise UserError(f"{file} has the image {name} twice; keep one entry of it.")
        if not isinstance(record.get("id", 0), int | str):
            raise UserError(f"{where} ({name}) has an id that is no number; correct it.")
        seen.add(name)
        yield record


def _categories(value: Any, file: Path) -> dict[int, str]:
    """Return category names by id."""
    if isinstance(value, Mapping):
        value = [
            {"id": int(key) if key.isdecimal() else None, "name": n} for key, n in value.items()
        ]
    names: dict[int, str] = {}
    for entry in value if isinstance(value, list) else ():
        known = entry if isinstance(entry, dict) else {}
        number, name = known.get("id"), known.get("name")
        if type(number) is not int or not isinstance(name, str) or not name.strip():
            raise UserError(f"a category of {file} has no id and name; correct {entry!r}.")
        if number in names or name.strip() in names.values():
            raise UserError(f"{file} has the category {name!r} ({number}) twice; keep one.")
        names[number] = name.strip()
    if not names:
        raise UserError(f"{file} lists no categories; give object annotations in COCO's layout.")
    return names


def _by_image(annotations: Any, file: Path) -> dict[Any, list[Any]]:
    """Return the annotations of each image id."""
    found: dict[Any, list[Any]] = {}
    for number, entry in enumerate(annotations if isinstance(annotations, list) else ()):
        image = entry.get("image_id") if isinstance(entry, dict) else None
        if not isinstance(image, int | str):
            raise UserError(f"annotation {number} of {file} names no image_id; correct it.")
        found.setdefault(image, []).append(entry)
    return found


def _things(
    entries: Sequence[Any],
    photo: str,
    frame: tuple[int, int],
    names: Mapping[int, str],
    tally: Tally,
) -> Iterator[Thing]:
    """Yield a photo's objects; those without a proper box or category are told to the tally."""
    for number, entry in enumerate(entries):
        name = f"{photo}-{number}"
        known = entry if isinstance(entry, dict) else {}
        category = known.get("category_id")
        if type(category) is not int or category not in names:
            tally.drop_part("of an unknown category", name)
            continue
        try:
            box = read_box(known.get("bbox"))
        except ValueError as error:
            tally.drop_part(str(error).replace("has", "with", 1), name)
            continue
        wrong = fault(box, None, frame)
        if wrong:
            tally.drop_part(f"with a {wrong}", name)
            continue
        yield Thing(name, names[category], box, bool(known.get("iscrowd", 0)))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # no name that a disk could have
        return False


def _inside(box: Box, whole: Box) -> float:
    """Return the area of a box inside another."""
    shared = iou(box, whole)
    return shared * (box[2] * box[3] + whole[2] * whole[3]) / (1 + shared)
