"""FG-OVD: which of several long descriptions, alike but for an attribute or two, is of this box?

Bianchi et al., CVPR 2024 (arXiv 2311.17518), over COCO's photos: hard, medium, easy and trivial foils,
and foils of one kind of attribute. A box is asked about as FG-CLIP does (Xie et al., ICML 2025): the
true text must score highest. How a region is shown decides what is measured, so that each way is a
metric of its own: `acc_crop` (the box alone), `acc_box` (the photo, gray but for the box and marked red),
`acc_patches` (the stretched photo's patches under the box: FG-CLIP's way, by areas instead of its
RoIAlign), and `acc_prompt` (as a model was trained to see regions, where it was).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import normalize

from trifocal.clip import Clip
from trifocal.features.embed import tokenize
from trifocal.features.unreadable import Unreadable
from trifocal.metrics.answers import Answers
from trifocal.metrics.benchmark import Missing, Sheet, require
from trifocal.metrics.choice import Outcome, first_wins
from trifocal.metrics.result import Result, model_name
from trifocal.progress import Progress
from trifocal.regions.benchmarks.fg_ovd_files import LEVELS, NAMES, BoxTexts, part_file, read_part
from trifocal.regions.benchmarks.pool import Pool, embed
from trifocal.regions.encoder import (
    PATCHES,
    ZERO_SHOT,
    EmbedsRegions,
    RegionModel,
    region_encoder,
    trained_prompt,
)
from trifocal.tally import MOST_LEFT_OUT

_CHUNK = 2048  # questions whose texts are gathered at a time
_PHOTOS = (
    "get COCO's train2017 and val2017 photos (cocodataset.org), and set images to their folder"
)


@dataclass(frozen=True)
class FgOvdItems:
    """The questions: of each its part, its region and its texts, as numbers of a pool."""

    pool: Pool
    part: Sequence[str]
    region: Tensor  # (N,)
    texts: Tensor  # (N, T), the truth first; -1 where a question has fewer
    of: int  # questions of the files
    limited: bool = False

    def __len__(self) -> int:
        return len(self.part)


@dataclass
class FgOvd:
    """The benchmark over the authors' files, or FG-CLIP's.

    Attributes:
        images: Folder that holds train2017 and val2017; by default looked for below the root and beside
            it.
        available_only: Ask about the boxes whose photo is there instead of requiring all.
        limit: Ask only the first so many questions of each part; the row says so.
        official: Add rows under FG-CLIP's rule for ties, which are right there.
        most_left_out: The largest share of the pictures that may turn out broken.
        batch_size: Regions (or, for patches, photos) in one pass.
    """

    images: str | Path | None = None
    available_only: bool = False
    limit: int | None = None
    official: bool = False
    most_left_out: float = MOST_LEFT_OUT
    batch_size: int = 64

    name: ClassVar[str] = "fg_ovd"
    source: ClassVar[str] = (
        "github.com/lorebianchi98/FG-OVD, folder benchmarks/, or FG-CLIP's *_llava.jsonl "
        "(github.com/360CVGroup/FG-CLIP, Apache-2.0); photos: COCO 2017"
    )
    version: ClassVar[int] = 1
    headline: ClassVar[tuple[str, str]] = ("hard", "acc_crop")

    def check(self, root: str | Path) -> list[Missing]:
        """Return what is missing: files of the four levels, then photos (one entry)."""
        root = Path(root).expanduser()
        return self._lacking(root) or self._absent(self._read(root))

    def items(self, root: str | Path) -> FgOvdItems:
        """Read the levels, and the parts of one attribute whose files are there.

        Raises:
            UserError: Files are missing or malformed.
        """
        root = Path(root).expanduser()
        require(self._lacking(root), self.name)
        read = self._read(root)
        require(self._absent(read), self.name)
        there: dict[Path, bool] = {}
        kept: list[tuple[str, BoxTexts]] = []
        total = 0
        for part, questions in read.items():
            total += len(questions)
            for one in questions[: self.limit]:
                photo = Path(str(one.region.image))
                if there.setdefault(photo, os.path.isfile(photo)):
                    kept.append((part, one))
        return _items(kept, total, self.limit is not None)

    def score(
        self, model: RegionModel, items: FgOvdItems, *, progress: Progress | None = None
    ) -> list[Result]:
        """Return the accuracy of every part, for each way of showing a region to the model."""
        rows: list[Result] = []
        for way, encoder in _ways(model).items():
            rows += self._score(way, encoder, model, items, progress)
        return rows

    def _score(
        self,
        way: str,
        encoder: EmbedsRegions,
        model: RegionModel,
        items: FgOvdItems,
        progress: Progress | None,
    ) -> list[Result]:
        sheet = Sheet(self.name, model_name(model), "", version=self.version)
        unreadable = Unreadable(self.name, self.most_left_out)
        embedded = embed(
            encoder,
            items.pool,
            batch_size=self.batch_size,
            progress=progress,
            unreadable=unreadable,
        )
        pictures = [region.image for region in items.pool.regions]
        good = unreadable.readable(pictures)
        kept = good[items.region]
        regions, texts = torch.from_numpy(embedded.regions), torch.from_numpy(embedded.texts)
        mean = normalize(regions[good].mean(dim=0), dim=0)
        place, asked = items.texts[kept], items.region[kept]
        outcome = first_wins(_scores(regions[asked], texts, place))
        blind = first_wins(_scores(mean.expand(len(place), -1), texts, place))
        sheet.protocol = f"{embedded.protocol}; box to text, ties are errors"
        if items.limited:
            sheet.protocol += f"; the first {self.limit} of each part"
        if not items.limited and len(items) < items.of:
            sheet.protocol += f"; {len(items)} of {items.of} boxes, whose photos are present"
        if not isinstance(model, EmbedsRegions):
            sheet.protocol += tokenize(model, items.pool.texts).note
        sheet.protocol += unreadable.note_of("with their boxes")
        sheet.account = unreadable.account()
        part = [name for name, one in zip(items.part, kept.tolist(), strict=True) if one]
        answers = _answers(part, outcome, place, blind)
        answers.add_rows(sheet, f"acc_{way}")
        if self.official:
            answers.ties_right().add_rows(sheet, f"acc_{way}_ties_right")
        return sheet.done()

    def _lacking(self, root: Path) -> list[Missing]:
        files = [part_file(root, part) for part in LEVELS]
        return [
            Missing(str(one), f"get it from {self.source}") for one in files if not one.exists()
        ]

    def _read(self, root: Path) -> dict[str, list[BoxTexts]]:
        known: dict[str, Path] = {}
        bases = [root, root / "coco", root.parent, root.parent / "coco"]
        bases = [Path(self.images).expanduser()] if self.images is not None else bases
        bases += [base / "images" for base in bases]

        def photo(name: str) -> Path:
            if name not in known:
                places = [base / one for base in bases for one in (name, Path(name).name)]
                known[name] = next((one for one in places if os.path.isfile(one)), places[0])
            return known[name]

        files = {part: part_file(root, part) for part in NAMES}
        return {part: read_part(file, photo) for part, file in files.items() if file.is_file()}

    def _absent(self, read: dict[str, list[BoxTexts]]) -> list[Missing]:
        """Return the photos that are not there, if that is too many to run."""
        names = {Path(str(one.region.image)) for questions in read.values() for one in questions}
        absent = sorted(str(name) for name in names if not os.path.isfile(name))
        if not absent or (self.available_only and len(absent) < len(names)):
            return []
        option = "" if self.available_only else ", or set available_only=True to score the rest"
        return [Missing(absent[0], _PHOTOS + option, len(absent))]


def _ways(model: RegionModel) -> dict[str, EmbedsRegions]:
    """Return the encoders of a model, by the name of how they show it a region."""
    if isinstance(model, EmbedsRegions):
        return {"own": model}
    ways: dict[str, EmbedsRegions] = {
        "crop": region_encoder(model, replace(ZERO_SHOT, variant="reg")),
        "box": region_encoder(model, replace(ZERO_SHOT, variant="box")),
    }
    if isinstance(model, Clip):
        ways[PATCHES] = region_encoder(model, variant=PATCHES)
    if trained_prompt(model) is not None:
        ways["prompt"] = region_encoder(model)
    return ways


def _items(kept: Sequence[tuple[str, BoxTexts]], total: int, limited: bool) -> FgOvdItems:
    pool = Pool()
    # Boxes of one photo side by side: patches are made once a photo.
    for _, one in sorted(kept, key=lambda each: str(each[1].region.image)):
        pool.region(one.region)
    most = max((len(one.texts) for _, one in kept), default=0)
    numbers = [[pool.text(text) for text in one.texts] for _, one in kept]
    texts = torch.tensor([row + [-1] * (most - len(row)) for row in numbers], dtype=torch.long)
    region = torch.tensor([pool.region(one.region) for _, one in kept], dtype=torch.long)
    return FgOvdItems(pool, [part for part, _ in kept], region, texts, total, limited)


def _scores(regions: Tensor, texts: Tensor, place: Tensor) -> Tensor:
    """Return (N, T) cosines of regions (N, D) with texts at `place` (N, T), -inf where it is -1.

    Each is summed in the same order, so that equal texts have equal scores.
    """
    found = [
        (one[:, None] * texts[where.clamp_min(0)]).sum(dim=2)
        for one, where in zip(regions.split(_CHUNK), place.split(_CHUNK), strict=True)
    ]
    scores = torch.cat(found) if found else regions.new_empty(0, 1)
    return scores.masked_fill(place < 0, -torch.inf)


def _answers(part: list[str], outcome: Outcome, place: Tensor, blind: Outcome) -> Answers:
    chance = 1 / (place >= 0).sum(dim=1).double()
    return Answers(part, outcome.right, outcome.tied, chance, blind.right)
