"""ARO's questions about boxes of Visual Genome: two captions, of which one is true."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from trifocal.composition.benchmarks.files import malformed, read_list, strings
from trifocal.composition.benchmarks.suite import PhotoFolders
from trifocal.data.box_formats import is_number
from trifocal.data.held import Cropped
from trifocal.data.regions import Box
from trifocal.features.questions import Question

_WHAT = "a file of ARO"
_CAPTIONS = ("true_caption", "false_caption")
_BOX = ("bbox_x", "bbox_y", "bbox_w", "bbox_h")


def box_questions(part: str, path: Path, photos: PhotoFolders, least: int) -> list[Question]:
    """Return the questions of a file of relations or of attributes.

    Their tag is the relation, or both attributes (`old_young`), if at least `least` questions of the file
    have it; the box is cut out before anything else is done.

    Raises:
        UserError: It is not in ARO's format.
    """
    found, kinds = list[Question](), list[str]()
    for number, entry in enumerate(read_list(path, _WHAT)):
        photo, *texts = strings(entry, ("image_path", *_CAPTIONS), path, number, _WHAT)
        box, kind = _box(entry), _kind(entry)
        if box is None or kind is None:
            needed = f"{', '.join(_BOX)} (numbers) and relation_name or attributes (two)"
            raise malformed(path, number, _WHAT, needed)
        picture = Cropped(photos.find(photo), box)
        found.append(Question(part, (picture,), tuple(texts), str(number)))
        kinds.append(kind)
    cases = Counter(kinds)
    return [
        replace(question, tags=(kind,)) if cases[kind] >= least else question
        for question, kind in zip(found, kinds, strict=True)
    ]


def _box(entry: Mapping[str, Any]) -> Box | None:
    sides: list[Any] = [entry.get(side) for side in _BOX]
    if not all(map(is_number, sides)):
        return None
    left, top, width, height = map(float, sides)
    return left, top, width, height


def _kind(entry: Mapping[str, Any]) -> str | None:
    """Return what a question is averaged with."""
    match entry:
        case {"relation_name": str(relation)}:
            return relation
        case {"attributes": [str(first), str(second)]}:
            return f"{first}_{second}"
    return None
