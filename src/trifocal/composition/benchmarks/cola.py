"""COLA: attributes that belong to one object and not to another.

Ray et al., NeurIPS 2023 (arXiv 2305.03689). Multi-objects: two photos and two captions whose attributes are
exchanged; the authors' accuracy is Winoground's `image` score (each caption prefers its photo), and `text`
and `group` stand beside it. Single objects, for each of GQA, CLEVR and PACO whose file is there: the mean
over classes ("square white plate") of the average precision (`map`) on the photos that the file counts as
hard for the class. No published value of the latter can be reproduced (its issue 4).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

import torch

from trifocal.composition.benchmarks.files import first_there, malformed, read_json, read_list
from trifocal.composition.benchmarks.photo_places import FROM_VISUAL_GENOME, VISUAL_GENOME, coco
from trifocal.composition.benchmarks.square import squares
from trifocal.composition.benchmarks.suite import Suite
from trifocal.features.questions import Question, Scored
from trifocal.metrics.average_precision import average_precision
from trifocal.metrics.benchmark import Missing, Sheet

MULTI = "multi_objects"
# The sets of single objects, and the folders in which their photos lie.
SINGLE = {
    "GQA": ("vg_gqa_images", "GQA", *VISUAL_GENOME),
    "CLEVR": ("CLEVR_v1.0/images/val", "CLEVR", "clevr"),
    "PACO": ("PACO", *coco("train2017", "val2017")),
}
_WHAT = "a COLA file"


@dataclass
class Cola(Suite):
    """The benchmark over files in their published form (see `Suite` for its options)."""

    name: ClassVar[str] = "cola"
    source: ClassVar[str] = "github.com/arijitray1993/COLA (MIT), folder data/"
    protocol: ClassVar[str] = (
        "multi_objects: 2 pictures and 2 texts, ties are errors; single objects: macro over classes, "
        "hard pictures"
    )
    headline: ClassVar[tuple[str, str]] = (MULTI, "image")
    photos_from: ClassVar[str] = (
        f"{FROM_VISUAL_GENOME}; single objects also ask for CLEVR's and COCO's photos"
    )

    def files(self, root: Path) -> list[Missing]:
        """Return the file of multi-objects; those of single objects are read if they are there."""
        name = "COLA_multiobjects_matching_benchmark.json"
        path = first_there(root, name, f"data/{name}")
        return [Missing(str(path), f"get it from {self.source}")]

    def read(self, root: Path) -> list[Question]:
        """Read the squares, and of each set of single objects a question a class and hard photo."""
        path = Path(self.files(root)[0].path)
        photos = self.photos(root, *SINGLE["GQA"])
        found = []
        for number, entry in enumerate(read_list(path, _WHAT)):
            if not (
                isinstance(entry, list)
                and len(entry) == 4
                and all(isinstance(one, str) for one in entry)
            ):
                raise malformed(path, number, _WHAT, "a photo, its caption, a photo, its caption")
            first, one, second, other = entry
            pictures = (photos.find(_name(first)), photos.find(_name(second)))
            found.append(Question(MULTI, pictures, (one, other), str(number)))
        for name, places in SINGLE.items():
            single = path.parent / f"COLA_singleobjects_benchmark_{name}.json"
            if single.exists():
                found += self._single(root, single, f"single_{name}", places)
        return found

    def _single(
        self, root: Path, path: Path, name: str, places: Sequence[str]
    ) -> Iterator[Question]:
        photos = self.photos(root, *places)
        classes, entries = _content(path)
        for number, entry in enumerate(entries):
            if not isinstance(entry, list) or len(entry) < 3 or not isinstance(entry[0], str):
                raise malformed(path, number, _WHAT, "a photo, labels and hard_list")
            photo, labels, hard = photos.find(_name(entry[0])), entry[-2], entry[-1]
            if not all(_marks(marks, len(classes)) for marks in (labels, hard)):
                fields = f"labels and hard_list, {len(classes)} times 0 or 1"
                raise malformed(path, number, _WHAT, fields)
            for text, label, counts in zip(classes, labels, hard, strict=True):
                if counts:
                    part = f"{name}: {text}"
                    yield Question(part, (photo,), (text,), str(number), holds=bool(label))

    def rows(self, sheet: Sheet, scored: Scored) -> None:
        """Append text, image and group of multi-objects, and `map` of sets of single objects."""
        for metric, answers in squares(scored).items():
            answers.add_row(sheet, MULTI, metric, answers.of_part(MULTI))
        for name in SINGLE:
            self._add_map(sheet, f"single_{name}", scored)

    def _add_map(self, sheet: Sheet, name: str, scored: Scored) -> None:
        classes: dict[str, list[int]] = {}
        for number, question in enumerate(scored.questions):
            if question.part.startswith(f"{name}: "):
                classes.setdefault(question.part, []).append(number)
        holds = torch.tensor([question.holds for question in scored.questions])
        asked = [rows for rows in map(torch.tensor, classes.values()) if holds[rows].any()]
        if asked:
            scores = scored.scores[:, 0, 0]
            values = [average_precision(scores[rows], holds[rows]) for rows in asked]
            chances = [float(holds[rows].double().mean()) for rows in asked]
            count = sum(map(len, asked))
            sheet.add(name, "map", _mean(values), count, _mean(chances))


def _content(path: Path) -> tuple[list[str], list[Any]]:
    """Return the classes and the photos of a file of single objects: a pair, or two keys."""
    content = read_json(path, _WHAT)
    if isinstance(content, dict):
        content = [content.get("labels"), content.get("data")]
    if isinstance(content, list) and len(content) == 2:
        classes, entries = content
        if isinstance(classes, list) and isinstance(entries, list):
            texts = [one for one in classes if isinstance(one, str)]
            if len(texts) == len(classes):
                return texts, entries
    raise malformed(path, 0, _WHAT, "the labels, then the photos")


def _marks(marks: Any, count: int) -> bool:
    return isinstance(marks, list) and len(marks) == count and all(one in (0, 1) for one in marks)


def _name(address: str) -> str:
    """Return the file at the end of a path or an address."""
    return PurePosixPath(address).name


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
