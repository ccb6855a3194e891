"""Where words look on annotated photos: does the map of "a dog" find the dogs?

Files in COCO's layout. Every category of a photo that has a box of some size is asked for by its name; the
boxes of all its objects are the place. The whole photo is stretched to the model's input, and each map is
measured by the pointing game and by the area under the ROC curve (`metrics.maps`), as means within a
photo, then over photos:

    dense        as reports and apps show it: last block with query-key attention (`clip.dense`)
    plain        the last block as it is
    other word   control: the dense map of a category that the photo does not have
    center       control: the nearer to the middle of the photo, the brighter
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trifocal.clip import Clip
from trifocal.clip.dense import dense_features
from trifocal.data.coco_files import AnnotatedPhoto, Split, in_split, read_coco
from trifocal.data.coco_regions import LEAST_AREA
from trifocal.data.images import BadImage, open_image
from trifocal.errors import UserError
from trifocal.features.dense import stretched
from trifocal.features.unreadable import Unreadable
from trifocal.features.word_maps import WordTexts
from trifocal.metrics.benchmark import Missing, Sheet, digest_of, require
from trifocal.metrics.maps import MapScore, UnitBox, map_score
from trifocal.metrics.result import Result, model_name
from trifocal.progress import Progress, Quiet
from trifocal.regions.benchmarks.coco_regions import CocoRegions
from trifocal.tally import MOST_LEFT_OUT

DENSE, PLAIN, OTHER, CENTER = "dense", "plain", "other word", "center"
POINTING, BOX_AUC = "pointing", "box_auc"


@dataclass(frozen=True)
class PhotoWords:
    """A photo, the words that have a place in it, and as many that have none.

    Attributes:
        path: The photo's file.
        words: L categories.
        boxes: Where the objects of each are.
        others: L categories that the photo has nothing of.
    """

    path: Path
    words: tuple[str, ...]
    boxes: tuple[tuple[UnitBox, ...], ...]
    others: tuple[str, ...]


@dataclass(frozen=True)
class WordMapItems:
    """What is asked."""

    photos: Sequence[PhotoWords]

    def __len__(self) -> int:
        return sum(len(photo.words) for photo in self.photos)


@dataclass
class WordMaps:
    """The benchmark over a file in COCO's layout.

    Attributes:
        annotations: The file; by default as `coco_regions` finds it.
        images: Folder that file names start from; by default it is looked for beside the file.
        split: "train", "val" or "test" for a part of the photos by their names, "all" for all.
        least_area: Share of the photo that a box of an asked category covers at least.
        available_only: Ask about the photos that are present instead of requiring them all.
        limit: Ask about so many photos at most, the first; None for all.
        most_left_out: The largest share of the pictures that may turn out broken; they are left out.
        batch_size: Photos in one pass.
    """

    annotations: str | Path | None = None
    images: str | Path | None = None
    split: Split = "all"
    least_area: float = LEAST_AREA
    available_only: bool = False
    limit: int | None = None
    most_left_out: float = MOST_LEFT_OUT
    batch_size: int = 32
    name = "word_maps"
    source = CocoRegions.source
    version = 1

    def check(self, root: str | Path) -> list[Missing]:
        """Return what is missing: the annotation file."""
        return self._objects.check(root)

    def items(self, root: str | Path) -> WordMapItems:
        """Read the questions.

        Raises:
            UserError: files are missing or malformed, or nothing can be asked.
        """
        require(self.check(root), self.name)
        file = self._objects.file(Path(root))
        read = read_coco(file, self.images, missing="skip" if self.available_only else "error")
        asked = [
            _asked(photo, read.categories, self.least_area)
            for photo in in_split(read.photos, self.split)
        ]
        kept = [photo for photo in asked if photo.words][: self.limit]
        if not kept:
            raise UserError(
                f"{file} has no word to ask for in the part {self.split!r}; lower least_area "
                f"({self.least_area:g} of a photo), or choose another split."
            )
        return WordMapItems(kept)

    def score(
        self, model: Any, items: WordMapItems, *, progress: Progress | None = None
    ) -> list[Result]:
        """Return the rows "pointing" and "box_auc" of each kind of map; their marks are of photos.

        Raises:
            UserError: the model has no image tower to look into, or too many photos are broken.
        """
        clip = model if isinstance(model, Clip) else getattr(model, "clip", None)
        if not isinstance(clip, Clip):
            raise UserError(
                f"{model_name(model)} has no towers to look into, so its words have no maps; "
                "give a CLIP that transformers can hold."
            )
        unreadable = Unreadable(self.name, self.most_left_out)
        found: dict[str, list[list[MapScore]]] = {DENSE: [], PLAIN: [], OTHER: [], CENTER: []}
        names: list[tuple[str, ...]] = []
        words = {word for photo in items.photos for word in (*photo.words, *photo.others)}
        texts = WordTexts(clip, sorted(words))
        progress = progress or Quiet()
        progress.start("photos", len(items.photos))
        for start in range(0, len(items.photos), self.batch_size):
            some = items.photos[start : start + self.batch_size]
            for photo, maps in _maps(clip, some, texts, unreadable):
                scores = [_scores(kind, photo.boxes) for kind in maps.values()]
                if scores[0]:
                    names.append((photo.path.name, *photo.words))
                    for name, each in zip(maps, scores, strict=True):
                        found[name].append(each)
            progress.advance(len(some))
        unreadable.close(model, [photo.path for photo in items.photos])
        if not names:
            raise UserError(f"no word of {self.name} has a patch of its own; use a finer grid.")
        sheet = Sheet(self.name, model_name(model), "", version=self.version)
        sheet.account, sheet.asked = unreadable.account(), digest_of(names)
        sheet.protocol = (
            f"photos: {self.split}; categories with a box of {self.least_area:g} of a photo or more; "
            f"whole photos, stretched{unreadable.note_of('with their words')}; mean over photos"
        )
        share = _means(found[DENSE], "share")
        for task, photos in found.items():
            for metric, field, chance in (
                (POINTING, "hit", float(share.mean())),
                (BOX_AUC, "auc", 0.5),
            ):
                marks = _means(photos, field)
                sheet.add(task, metric, float(marks.mean()), len(marks), chance, marks=marks)
        return sheet.done()

    @property
    def _objects(self) -> CocoRegions:
        return CocoRegions(annotations=self.annotations)


def _asked(photo: AnnotatedPhoto, categories: Sequence[str], least_area: float) -> PhotoWords:
    """Return what is asked of a photo; the control of a word is the next category it has not."""
    has = {thing.category for thing in photo.things}
    words = tuple(dict.fromkeys(thing.category for thing in photo.shown(least_area)))
    absent = [name for name in categories if name not in has]
    if not absent:
        words = ()
    first = [sum(name < word for name in absent) for word in words]
    width, height = photo.frame
    boxes = tuple(
        tuple(
            (x / width, y / height, (x + w) / width, (y + h) / height)
            for x, y, w, h in (thing.box for thing in photo.things if thing.category == word)
        )
        for word in words
    )
    return PhotoWords(
        photo.path, words, boxes, tuple(absent[place % len(absent)] for place in first)
    )


def _maps(
    clip: Clip, photos: Sequence[PhotoWords], texts: WordTexts, unreadable: Unreadable
) -> Iterator[tuple[PhotoWords, dict[str, Tensor]]]:
    """Yield photos that can be read with their maps (L, rows, columns) of each kind."""
    pixels, kept = [], []
    for photo in photos:
        try:
            pixels.append(stretched(clip, open_image(photo.path)))
            kept.append(photo)
        except (BadImage, OSError) as error:
            unreadable.note(photo.path, error)
    if not kept:
        return
    training = clip.training
    clip.eval()
    dense, plain = (
        dense_features(clip, torch.stack(pixels), attention).cpu()
        for attention in ("query-key", "tower")
    )
    for photo, fine, coarse in zip(kept, dense, plain, strict=True):
        own, other = texts.directions(photo.words), texts.directions(photo.others)
        yield (
            photo,
            {
                DENSE: torch.einsum("rcd,ld->lrc", fine, own),
                PLAIN: torch.einsum("rcd,ld->lrc", coarse, own),
                OTHER: torch.einsum("rcd,ld->lrc", fine, other),
                CENTER: _center(*fine.shape[:2]).expand(len(own), -1, -1),
            },
        )
    clip.train(training)


def _center(rows: int, columns: int) -> Tensor:
    """Return (rows, columns) how near patches are to the middle."""
    y, x = (((torch.arange(count) + 0.5) / count - 0.5).pow(2) for count in (rows, columns))
    return -(y[:, None] + x)


def _scores(maps: Tensor, boxes: Sequence[Sequence[UnitBox]]) -> list[MapScore]:
    """Return the scores of a photo's maps, without those of words that hold no patch, or all."""
    made = (map_score(one, place) for one, place in zip(maps, boxes, strict=True))
    return [score for score in made if score is not None]


def _means(photos: Sequence[Sequence[MapScore]], field: str) -> Tensor:
    """Return (n,) means within photos."""
    return torch.tensor(
        [sum(getattr(one, field) for one in photo) / len(photo) for photo in photos],
        dtype=torch.float64,
    )
