"""VALSE: a caption against a foil of it, one linguistic phenomenon at a time.

Parcalabescu et al., ACL 2022. Eleven files; an item counts if at least two of three annotators chose the
caption alone. The survey of 2024 and FSC-CLIP (arXiv 2410.05210) average seven pieces (`mean`), the paper
six (without FOIL it, `mean_6`), READ-CLIP's evaluator all items (`acc_micro`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from trifocal.composition.benchmarks.files import first_there, malformed, read_json, strings
from trifocal.composition.benchmarks.photo_places import coco
from trifocal.composition.benchmarks.suite import PhotoFolders, Suite
from trifocal.features.questions import Question, Scored
from trifocal.metrics.benchmark import Missing, Sheet
from trifocal.metrics.choice import choose_text

PARTS = (
    "existence",
    "plurals",
    "counting-hard",
    "counting-small-quant",
    "counting-adversarial",
    "relations",
    "action-replacement",
    "actant-swap",
    "coreference-standard",
    "coreference-hard",
    "foil-it",
)
_PIECES = ("existence", "plurals", "counting", "relations", "actions", "coreference")
_TREE = {
    "counting": PARTS[2:5],
    "actions": PARTS[6:8],
    "coreference": PARTS[8:10],
    "mean_6": _PIECES,
    "mean": (*_PIECES, "foil-it"),
}
_LEAST_VOTES = 2  # of three annotators, for the caption and not for the foil
_FIELDS = ("dataset", "image_file", "caption", "foil")
_WHAT = "a VALSE file"
# What `dataset` says, and the folders in which its photos lie.
_PLACES: Mapping[str, tuple[str, ...]] = {
    "visual7w": ("visual7w", "visual7w/images", "v7w"),
    "SWiG": ("SWiG", "images_512", "SWiG/images_512", "swig"),
    "VisDial_v1.0": (
        "VisDial_v1.0",
        "VisualDialog_val2018",
        *coco("train2014", "val2014", "train2017", "val2017"),
    ),
    "FOIL dataset": (
        *coco("val2014"),
        "FOIL dataset",
        *coco("train2017", "val2017"),
    ),
    "coco2017": coco("val2017", "train2017"),
    "coco_2017": coco("val2017", "train2017"),
}


@dataclass
class Valse(Suite):
    """The benchmark over files in their published form (see `Suite` for its options)."""

    name: ClassVar[str] = "valse"
    source: ClassVar[str] = "github.com/Heidelberg-NLP/VALSE (MIT), folder data/"
    protocol: ClassVar[str] = (
        "2 texts, valid items, ties are errors; means macro over pieces, instruments averaged inside"
    )
    headline: ClassVar[tuple[str, str]] = ("mean", "acc")
    photos_from: ClassVar[str] = (
        "get the photos of COCO 2017 and 2014, Visual7W, SWiG and VisDial (VisualDialog_val2018), "
        "each in a folder of its name"
    )

    def files(self, root: Path) -> list[Missing]:
        """Return the eleven files."""
        folder = first_there(root, f"{PARTS[0]}.json", f"data/{PARTS[0]}.json").parent
        return [
            Missing(str(folder / f"{part}.json"), f"get it from {self.source}") for part in PARTS
        ]

    def read(self, root: Path) -> list[Question]:
        """Read the valid items."""
        photos: dict[str, PhotoFolders] = {}
        found = []
        for part, file in zip(PARTS, self.files(root), strict=True):
            path = Path(file.path)
            entries = read_json(path, _WHAT)
            if not isinstance(entries, dict):
                raise malformed(path, 0, _WHAT, "a name")
            for name, entry in entries.items():
                dataset, photo, *texts = strings(entry, _FIELDS, path, name, _WHAT)
                if _votes(entry, path, name) < _LEAST_VOTES:
                    continue
                if dataset not in photos:
                    photos[dataset] = self.photos(root, *_PLACES.get(dataset, (dataset,)))
                picture = photos[dataset].find(photo, *_same_photo(photo))
                found.append(Question(part, (picture,), tuple(texts), name))
        return found

    def rows(self, sheet: Sheet, scored: Scored) -> None:
        """Append the accuracy of files and pieces, both means of pieces, and that of all items."""
        outcome, blind = choose_text(scored.scores), choose_text(scored.blind)
        answers = scored.answers(outcome, scored.chance(), blind)
        answers.add_rows(sheet, "acc", _TREE)
        answers.add_row(sheet, "all", "acc_micro", answers.micro())


def _votes(entry: Mapping[str, Any], path: Path, name: str) -> int:
    """Return how many annotators chose the caption alone."""
    votes = entry.get("mturk")
    count = votes.get("caption") if isinstance(votes, dict) else None
    if not isinstance(count, int):
        raise malformed(path, name, _WHAT, "mturk.caption, a number")
    return count


def _same_photo(file: str) -> tuple[str, ...]:
    """Return the name of a photo of COCO 2014 in COCO 2017, which holds the same photos."""
    return (file.rpartition("_")[2],) if file.startswith("COCO_") else ()
