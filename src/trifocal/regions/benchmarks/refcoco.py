"""RefCOCO, RefCOCO+ and RefCOCOg: which box does an expression point to?

Yu et al., ECCV 2016, and Mao et al., CVPR 2016, as a choice among proposals: every box of the
picture is scored against the expression, and the best is right if its IoU with the true one is
above one half. Every sentence is a question; a picture without proposals is an error.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trifocal.data.box_formats import BoxFormat, check_format
from trifocal.data.regions import Region
from trifocal.data.sherlock_files import ImageRoots
from trifocal.errors import UserError
from trifocal.features.unreadable import Unreadable
from trifocal.metrics.benchmark import Missing, Sheet, require
from trifocal.metrics.result import Result, model_name
from trifocal.progress import Progress
from trifocal.regions.benchmarks.arrays import as_array
from trifocal.regions.benchmarks.pool import Pool, embed
from trifocal.regions.benchmarks.refcoco_files import (
    GROUND_TRUTH,
    Question,
    convert_refs,
    read_detections,
    read_layout,
    read_refcoco,
)
from trifocal.regions.benchmarks.sherlock_places import local_root
from trifocal.regions.encoder import RegionModel, region_encoder
from trifocal.regions.prompts import Layout
from trifocal.tally import MOST_LEFT_OUT

__all__ = [
    "Question",
    "RefCoco",
    "RefItems",
    "choose",
    "convert_refs",
    "iou",
    "read_detections",
    "read_layout",
    "read_refcoco",
]

DATASETS = ("refcoco", "refcoco+", "refcocog")
THRESHOLD = 0.5
_SPLIT_BY = ("unc", "umd", "world", "google")  # google's splits share pictures with training
_FILES = (
    "get refcoco.zip, refcoco+.zip and refcocog.zip from github.com/lichengunc/refer (Apache-2.0)"
)
_CONVERT = (
    "is there only as a pickle, which can run code when it is opened; if you trust it, write it "
    "as JSON with trifocal.regions.benchmarks.refcoco.convert_refs(path, unsafe=True)"
)
_EXPORT = "convert the expressions with trifocal.regions.benchmarks.refcoco.convert_refs"
_PHOTOS = "get COCO's train2014 photos (cocodataset.org, train2014.zip, 13 GB)"


def iou(boxes: Any, box: Any) -> np.ndarray:
    """Return the IoU of boxes (..., 4) with a box (4,) or (..., 4): x, y, width, height.

    In the data sets' own convention edges are inclusive pixels, so that a box ends at
    x + width - 1, and an overlap that is one pixel wide or high counts as none.
    """
    a, b = np.asarray(boxes, dtype=float), np.asarray(box, dtype=float)
    low = np.maximum(a[..., :2], b[..., :2])
    high = np.minimum(a[..., :2] + a[..., 2:], b[..., :2] + b[..., 2:]) - 1
    sides = np.where((high > low).all(axis=-1, keepdims=True), high - low + 1, 0)
    shared = sides[..., 0] * sides[..., 1]
    return shared / (a[..., 2] * a[..., 3] + b[..., 2] * b[..., 3] - shared)


def choose(scores: Any) -> int:
    """Return the index of the best score, the first among equals; -1 without any.

    Raises:
        UserError: A score is NaN.
    """
    values = as_array(scores, "scores of proposals", 1)
    return int(values.argmax()) if len(values) else -1


@dataclass(frozen=True)
class RefItems:
    """Questions of one data set."""

    dataset: str
    questions: Sequence[Question]  # in the order of the files
    of: int  # how many there are with those whose picture is missing
    proposals: str  # where the boxes to choose from come from, in words

    def __len__(self) -> int:
        return len(self.questions)


@dataclass
class RefCoco:
    """The benchmark over files in their published form.

    Attributes:
        dataset: "refcoco", "refcoco+" or "refcocog".
        split: "val", "testA", "testB" or "test"; several with commas; all but "train" by default.
        proposals: "ground_truth" for all annotated boxes of the picture, or a JSON file of a
            detector's, {image id or file name: [[x, y, width, height], ...]} or COCO's results.
            By default the annotated ones, and in Sherlock's layout the entries' own (`yolo_box`).
        refs: Export of the expressions; by default the `refs(...).json` beside `instances.json`.
        annotations: File in Sherlock's layout, to use instead of these two.
        images: Folder of the photos; by default `train2014` or `images`, in the root, in `coco`
            or `images` below it, or beside it.
        available_only: Ask the questions whose photo is present instead of requiring them all.
        box_format, proposal_format: What the four numbers of a box are in the annotations and in
            the file of proposals, if not left, top, width and height (see `data.box_formats`).
            The rows say how many there were.
        variant, layout: Show regions so, instead of as the model was trained to see them.
        most_left_out: The largest share of the pictures that may turn out broken; they are left out.
        batch_size: Regions in one pass.
    """

    dataset: str = "refcoco"
    split: str = ""
    proposals: str | Path | None = None
    refs: str | Path | None = None
    annotations: str | Path | None = None
    images: str | Path | None = None
    available_only: bool = False
    box_format: BoxFormat | None = None
    proposal_format: BoxFormat | None = None
    variant: str | None = None
    layout: Layout | None = None
    most_left_out: float = MOST_LEFT_OUT
    batch_size: int = 128
    name = "refcoco"
    source = "github.com/lichengunc/refer (Apache-2.0); photos: COCO train2014 (Flickr terms)"
    version = 1

    def check(self, root: str | Path) -> list[Missing]:
        """Return what is missing: annotation files, then photos (one entry with their count)."""
        return self._read(Path(root))[1]

    def items(self, root: str | Path) -> RefItems:
        """Read the questions.

        Raises:
            UserError: Files are missing or not in their format.
        """
        items, missing = self._read(Path(root))
        require(missing, self.name)
        return items

    def score(
        self, model: RegionModel, items: RefItems, *, progress: Progress | None = None
    ) -> list[Result]:
        """Return, for each split, `acc` and `proposal_recall`, which no model can exceed.

        The model is whatever `trifocal.regions.encoder.region_encoder` takes.
        """
        pool = Pool()
        text = np.array([pool.text(one.text) for one in items.questions])
        boxes = [
            [pool.region(Region(one.image, (box,), one.frame)) for box in one.proposals]
            for one in items.questions
        ]
        if not pool.regions:
            raise UserError(f"none of the {items.of} questions has a proposal to choose")
        sheet = Sheet(items.dataset, model_name(model), "", version=self.version)
        encoder = region_encoder(model, variant=self.variant, layout=self.layout)
        unreadable = Unreadable(items.dataset, self.most_left_out)
        embedded = embed(
            encoder, pool, batch_size=self.batch_size, progress=progress, unreadable=unreadable
        )
        protocol = f"{embedded.protocol}; best of {items.proposals}, IoU > 0.5, inclusive pixels"
        if len(items) < items.of:
            protocol += f"; {len(items)} of {items.of} questions, whose photos are present"
        sheet.protocol = protocol + unreadable.note_of("with their questions")
        sheet.account = unreadable.account()
        outcome: dict[str, list[tuple[bool, bool, float, bool]]] = {}
        for one, which, row in zip(items.questions, boxes, text, strict=True):
            if one.image in unreadable:
                continue
            scores = embedded.matrix(np.array(which, dtype=int), row[None])[:, 0]
            hits = iou(np.reshape(one.proposals, (-1, 4)), one.box) > THRESHOLD
            best = choose(scores)
            right = best >= 0 and bool(hits[best])
            share = float(hits.mean()) if len(hits) else 0.0
            tied = best >= 0 and bool(np.count_nonzero(scores == scores[best]) > 1)
            outcome.setdefault(one.split, []).append((right, bool(hits.any()), share, tied))
        for split, rows in outcome.items():
            right, recall, chance, tied = np.mean(np.array(rows, dtype=float), axis=0)
            sheet.add(split, "acc", right, len(rows), chance, round(tied * len(rows)))
            sheet.add(split, "proposal_recall", recall, len(rows))
        return sheet.done()

    def _read(self, root: Path) -> tuple[RefItems, list[Missing]]:
        """Read everything but the pictures, and say what is missing."""
        if self.dataset not in DATASETS:
            raise UserError(f"no data set {self.dataset!r}; there are {', '.join(DATASETS)}")
        if self.annotations is not None:
            every, missing, words = self._read_layout(root, Path(self.annotations))
        else:
            every, missing, words = self._read_published(root)
        if missing:
            return RefItems(self.dataset, (), 0, words), missing
        questions = self._of_split(every)
        present = {one.image: os.path.isfile(one.image) for one in questions}
        absent = sorted(image for image, found in present.items() if not found)
        if self.available_only and len(absent) < len(present):
            kept = [one for one in questions if present[one.image]]
            return RefItems(self.dataset, kept, len(questions), words), []
        if absent:
            remedy = f"{_PHOTOS}, or set images to their folder"
            remedy += ", or set available_only=True to score the rest"
            missing = [Missing(str(absent[0]), remedy, len(absent))]
        return RefItems(self.dataset, questions, len(questions), words), missing

    def _read_published(self, root: Path) -> tuple[list[Question], list[Missing], str]:
        proposals = GROUND_TRUTH if self.proposals is None else self.proposals
        words = "the annotated boxes" if proposals == GROUND_TRUTH else Path(proposals).name
        folder = _folder(root, self.dataset)
        instances = folder / "instances.json"
        refs = Path(self.refs) if self.refs is not None else _refs(folder)
        missing = [] if instances.is_file() else [Missing(str(instances), _FILES)]
        if refs is None or not refs.is_file():
            pickled = sorted(folder.glob("refs(*).p"))
            wanted = refs or (
                pickled[0].with_suffix(".json") if pickled else folder / "refs(unc).json"
            )
            remedy = f"{pickled[0].name} {_CONVERT}" if pickled else f"{_FILES}; {_EXPORT}"
            return [], [*missing, Missing(str(wanted), remedy)], words
        if missing:
            return [], missing, words
        photos = Path(self.images) if self.images is not None else _photos(root, folder)
        questions = read_refcoco(instances, refs, photos, proposals, **self._formats())
        return questions, [], f"{words}, {refs.stem}"

    def _read_layout(self, root: Path, file: Path) -> tuple[list[Question], list[Missing], str]:
        words = "the entries' proposals" if self.proposals is None else Path(self.proposals).name
        if not file.is_file():
            return [], [Missing(str(file), "set annotations to a file in Sherlock's layout")], words
        roots = ImageRoots(*[self.images or local_root(file, root)] * 3)
        split = self.split or file.name.split(".")[0].rsplit("_", 1)[-1]
        return read_layout(file, split, roots, self.proposals, **self._formats()), [], words

    def _formats(self) -> dict[str, BoxFormat | None]:
        """Return what four numbers are, where that is stated and there are any."""
        found: dict[str, BoxFormat | None] = {
            "box_format": check_format(self.box_format),
            "proposal_format": check_format(self.proposal_format),
        }
        if self.proposal_format is not None and self.proposals in (None, GROUND_TRUTH):
            raise UserError(
                "proposal_format is about a file of proposals, and none is given; set proposals "
                "to it, or leave proposal_format out"
            )
        return found

    def _of_split(self, every: list[Question]) -> list[Question]:
        there = dict.fromkeys(one.split for one in every)
        wanted = [name.strip() for name in self.split.split(",") if name.strip()]
        for name in wanted:
            if name not in there:
                raise UserError(
                    f"{self.dataset} has no split {name!r} here; there are {', '.join(there)}"
                )
        wanted = wanted or [name for name in there if name != "train"]
        if not wanted:
            raise UserError(f"{self.dataset} has no split but train here; set split to score it")
        return [one for one in every if one.split in wanted]


def _folder(root: Path, dataset: str) -> Path:
    for folder in (root / dataset, root, root / "refer" / "data" / dataset):
        if (folder / "instances.json").is_file():
            return folder
    return root


def _refs(folder: Path) -> Path | None:
    """Return the export of the expressions; of several, the one whose splits are in use."""
    found = {path.stem[5:-1]: path for path in sorted(folder.glob("refs(*).json"))}
    for name in (*_SPLIT_BY, *found):
        if name in found:
            return found[name]
    return None


def _photos(root: Path, folder: Path) -> Path:
    """Return the folder of the photos (the first candidate, if none exists)."""
    bases = (root, folder, root.resolve().parent, folder.resolve().parent)
    names = ("train2014", "images/train2014", "coco/train2014", "coco/images/train2014")
    names += ("images/mscoco/images/train2014", "images")
    found = [base / name for base in bases for name in names if (base / name).is_dir()]
    return found[0] if found else root / names[0]
