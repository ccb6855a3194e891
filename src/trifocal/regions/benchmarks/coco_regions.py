"""Objects of annotated photos: which box is "a dog", and what is in this box?

Two questions on files in COCO's layout. GT-Box: of all boxes of a photo, which is meant by a
category that occurs in it once? Classification: which of all the file's categories is in a box? The
regions are single objects that cover a stated share of their photo. Crowds and small objects are
never asked about, nor answers, but they count for how often a category occurs: "a person" is not asked
for where a crowd stands behind the one who is annotated. Both are means within a photo, then over
photos, so that one crowded street does not decide. Equal scores share the answer: a model that does not
see the region is at chance.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from trifocal.data.coco_files import AnnotatedPhoto, Split, in_split, read_coco
from trifocal.data.coco_regions import LEAST_AREA, TEMPLATE, category_text
from trifocal.errors import UserError
from trifocal.features.unreadable import Unreadable
from trifocal.metrics.accuracy import correct_at, ties_at
from trifocal.metrics.benchmark import Missing, Sheet, require
from trifocal.metrics.result import Result, model_name
from trifocal.progress import Progress
from trifocal.regions.benchmarks.pool import Pool, embed
from trifocal.regions.encoder import RegionModel, region_encoder
from trifocal.regions.prompts import Layout
from trifocal.tally import MOST_LEFT_OUT

_REMEDY = (
    "get instances_val2017.json and the photos (cocodataset.org), or set annotations to a file in "
    "that layout"
)


@dataclass(frozen=True)
class PhotoQuestions:
    """A photo's boxes, and which of them a category means.

    Attributes:
        name: The photo's.
        regions: (B,) numbers of its boxes in the pool.
        categories: (B,) what is in them, as an index of all categories.
        single: (Q,) positions in `regions` of boxes whose category occurs once in the photo; none
            where it has but one box.
    """

    name: str
    regions: np.ndarray
    categories: np.ndarray
    single: np.ndarray


@dataclass(frozen=True)
class CocoRegionItems:
    """What is asked."""

    pool: Pool
    categories: tuple[str, ...]
    texts: np.ndarray  # (C,) number of each category's text in the pool
    photos: Sequence[PhotoQuestions]

    def __len__(self) -> int:
        return sum(len(photo.regions) for photo in self.photos)

    def without(self, unreadable: Unreadable) -> CocoRegionItems:
        """Return the questions about photos that could be read."""
        regions = self.pool.regions
        kept = [one for one in self.photos if regions[one.regions[0]].image not in unreadable]
        return replace(self, photos=kept)


@dataclass(frozen=True)
class Outcome:
    """How a model answered on one photo, in shares of 1.

    Attributes:
        gt_box: (Q,) the box of each category that occurs once.
        first, among_five: (B,) the category of each box is first; is among the first five.
        ties: Boxes and questions that hang on equal scores.
    """

    gt_box: np.ndarray
    first: np.ndarray
    among_five: np.ndarray
    ties: tuple[int, int]


@dataclass
class CocoRegions:
    """The benchmark over a file in COCO's layout.

    Attributes:
        annotations: The file; by default `instances_val*.json`, or another `instances*.json`, in the
            root or in `annotations` below it.
        images: Folder that file names start from; by default it is looked for beside the file.
        split: "train", "val" or "test" for a part of the photos by their names (as `data.split` of
            training has them), "all" for all.
        template: What is said of a category.
        least_area: Share of the photo that a box covers at least.
        available_only: Ask about the photos that are present instead of requiring them all.
        variant, layout: Show regions so, instead of as the model was trained to see them; the
            variant "patches" averages the whole picture's patches under a box.
        most_left_out: The largest share of the pictures that may turn out broken; they are left out.
        batch_size: Regions in one pass.
    """

    annotations: str | Path | None = None
    images: str | Path | None = None
    split: Split = "all"
    template: str = TEMPLATE
    least_area: float = LEAST_AREA
    available_only: bool = False
    variant: str | None = None
    layout: Layout | None = None
    most_left_out: float = MOST_LEFT_OUT
    batch_size: int = 64
    name = "coco_regions"
    source = (
        "cocodataset.org (annotations CC BY 4.0; photos: Flickr's terms), or files in its layout"
    )
    version = 1

    def check(self, root: str | Path) -> list[Missing]:
        """Return what is missing: the annotation file."""
        file = self.file(Path(root))
        return [] if file.is_file() else [Missing(str(file), _REMEDY)]

    def items(self, root: str | Path) -> CocoRegionItems:
        """Read the questions.

        Raises:
            UserError: files are missing or malformed, or nothing can be asked.
        """
        require(self.check(root), self.name)
        file = self.file(Path(root))
        missing = "skip" if self.available_only else "error"
        read = read_coco(file, self.images, missing=missing)
        pool = Pool()
        texts = np.array([pool.text(category_text(c, self.template)) for c in read.categories])
        number = {category: i for i, category in enumerate(read.categories)}
        asked = [
            _questions(photo, number, pool, self.least_area)
            for photo in in_split(read.photos, self.split)
        ]
        asked = [photo for photo in asked if len(photo.regions)]
        if not asked:
            raise UserError(
                f"{file} has no object to ask about in the part {self.split!r}; lower least_area "
                f"({self.least_area:g} of a photo), or choose another split."
            )
        return CocoRegionItems(pool, read.categories, texts, asked)

    def score(
        self, model: RegionModel, items: CocoRegionItems, *, progress: Progress | None = None
    ) -> list[Result]:
        """Return the rows "GT-Box" of the task "localization", and "acc1" and "acc5" of the task
        "classification", whose marks are those of photos; and "mean_per_class_recall" of boxes.
        """
        encoder = region_encoder(model, variant=self.variant, layout=self.layout)
        sheet = Sheet(self.name, model_name(model), "", version=self.version)
        unreadable = Unreadable(self.name, self.most_left_out)
        protocol, outcomes = answers(
            encoder,
            items,
            batch_size=self.batch_size,
            progress=progress,
            unreadable=unreadable,
        )
        items = items.without(unreadable)
        sheet.account = unreadable.account()
        asked = f"{protocol}; {self.template!r}; boxes of {self.least_area:g} of a photo or more"
        asked += f"; photos: {self.split}{unreadable.note_of('with their boxes')}"
        sheet.protocol = f"{asked}; ties shared; mean over photos"
        found = [(photo, one) for photo, one in zip(items.photos, outcomes) if len(one.gt_box)]
        if found:
            chance = float(np.mean([1 / len(photo.regions) for photo, _ in found]))
            marks = torch.tensor([one.gt_box.mean() for _, one in found])
            ties = sum(one.ties[0] for one in outcomes)
            value = float(marks.mean())
            sheet.add("localization", "GT-Box", value, len(marks), chance, ties, marks)
        count, ties = len(items.categories), sum(one.ties[1] for one in outcomes)
        for metric, k, shares in (
            ("acc1", 1, [one.first.mean() for one in outcomes]),
            ("acc5", 5, [one.among_five.mean() for one in outcomes]),
        ):
            marks, chance = torch.tensor(shares), min(1, k / count)
            value, told = float(marks.mean()), ties * (k == 1)
            sheet.add("classification", metric, value, len(marks), chance, told, marks)
        sheet.protocol = f"{asked}; ties shared; mean over the categories that occur"
        recall = class_recall(items.photos, outcomes)
        sheet.add("classification", "mean_per_class_recall", recall, len(items), 1 / count)
        return sheet.done()

    def file(self, root: Path) -> Path:
        """Return the annotation file, whether it is there or not."""
        if self.annotations is not None:
            return root / self.annotations
        for pattern in ("instances_val*.json", "instances*.json"):
            for folder in (root, root / "annotations"):
                if found := sorted(folder.glob(pattern)):
                    return found[0]
        return root / "instances_val2017.json"


def answers(
    encoder: RegionModel,
    items: CocoRegionItems,
    *,
    batch_size: int = 64,
    progress: Progress | None = None,
    unreadable: Unreadable | None = None,
) -> tuple[str, list[Outcome]]:
    """Return how regions were shown, and how a model answered on each photo.

    Photos that `unreadable` notes have no answer.
    """
    embedded = embed(
        encoder, items.pool, batch_size=batch_size, progress=progress, unreadable=unreadable
    )
    outcomes = []
    for photo in items.photos if unreadable is None else items.without(unreadable).photos:
        scores = torch.from_numpy(embedded.matrix(photo.regions, items.texts))  # (B, C)
        categories, single = torch.from_numpy(photo.categories), torch.from_numpy(photo.single)
        columns = scores[:, categories[single]].T  # (Q, B)
        outcomes.append(
            Outcome(
                gt_box=correct_at(columns, single).numpy(),
                first=correct_at(scores, categories).numpy(),
                among_five=correct_at(scores, categories, 5).numpy(),
                ties=(ties_at(columns, single), ties_at(scores, categories)),
            )
        )
    return embedded.protocol, outcomes


def class_recall(
    photos: Sequence[PhotoQuestions],
    outcomes: Sequence[Outcome],
    weights: np.ndarray | None = None,
) -> float:
    """Return the mean over categories of the share of their boxes that are classified.

    Args:
        photos: N photos.
        outcomes: The answers on each.
        weights: (N,) how often a photo counts (a bootstrap's draw); once by default.
    """
    counted = np.ones(len(photos)) if weights is None else weights
    category = np.concatenate([photo.categories for photo in photos])
    weight = np.repeat(counted, [len(photo.categories) for photo in photos])
    right = np.bincount(category, weight * np.concatenate([one.first for one in outcomes]))
    count = np.bincount(category, weight)
    return float((right[count > 0] / count[count > 0]).mean())


def _questions(
    photo: AnnotatedPhoto, number: dict[str, int], pool: Pool, least_area: float
) -> PhotoQuestions:
    shown = photo.shown(least_area)
    often = Counter(thing.category for thing in photo.things)
    single = [i for i, thing in enumerate(shown) if often[thing.category] == 1]
    return PhotoQuestions(
        photo.name,
        np.array([pool.region(photo.region(thing)) for thing in shown], dtype=int),
        np.array([number[thing.category] for thing in shown], dtype=int),
        np.array(single if len(shown) > 1 else [], dtype=int),
    )
