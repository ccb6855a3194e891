"""SugarCrepe: does a picture prefer its caption to a fluent, plausible, false one?

Hsieh et al., NeurIPS 2023 Datasets and Benchmarks (arXiv 2306.14610): seven subsets, replace
object/attribute/relation, swap object/attribute, add object/attribute, over COCO val2017. An item
is right if the caption scores strictly higher than its negative. The groups replace, swap and add
are averaged over items (micro), and the benchmark's number is the mean of the three groups.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from trifocal.clip.encoder import Encoder
from trifocal.errors import UserError
from trifocal.features.embed import Picture, Tokenized, encode_images, encode_texts, tokenize
from trifocal.features.unreadable import Unreadable
from trifocal.metrics.benchmark import Missing, Sheet, require
from trifocal.metrics.choice import PAIR_CHANCE, pair_correct, pair_tied
from trifocal.metrics.result import Result, model_name
from trifocal.progress import Progress
from trifocal.tally import MOST_LEFT_OUT

GROUPS: dict[str, tuple[str, ...]] = {
    "replace": ("replace_obj", "replace_att", "replace_rel"),
    "swap": ("swap_obj", "swap_att"),
    "add": ("add_obj", "add_att"),
}
SUBSETS = tuple(subset for members in GROUPS.values() for subset in members)
_FIELDS = ("filename", "caption", "negative_caption")
_ANNOTATIONS = "get it from github.com/RAIVNLab/sugar-crepe (MIT), folder data/"
_PHOTOS = "get COCO's val2017 photos (cocodataset.org, val2017.zip, 1 GB)"


@dataclass(frozen=True)
class PairItem:
    """One question: which of two captions describes the picture?"""

    id: str  # name within its subset
    subset: str  # one of `SUBSETS`
    image: Picture  # the picture, or where it is
    caption: str  # the true sentence
    negative: str  # the false one


@dataclass(frozen=True)
class PairItems:
    """Questions, and how many were asked for."""

    items: list[PairItem]
    of: int

    def __len__(self) -> int:
        return len(self.items)


@dataclass
class SugarCrepe:
    """The benchmark over files in their published form.

    Attributes:
        images: Folder of the photos; by default `images`, `val2017`, `coco/val2017` or
            `coco/images/val2017` below the root, whichever exists.
        available_only: Score the items whose photo is present instead of requiring them all. The
            row says how many there were.
        most_left_out: The largest share of the photos that may turn out broken; they are left out.
        batch_size: Pictures or texts in one pass.
    """

    images: str | Path | None = None
    available_only: bool = False
    most_left_out: float = MOST_LEFT_OUT
    batch_size: int = 128
    name = "sugarcrepe"
    source = (
        "github.com/RAIVNLab/sugar-crepe (MIT); photos: COCO val2017 (CC BY 4.0 and Flickr terms)"
    )
    version = 1

    def check(self, root: str | Path) -> list[Missing]:
        """Return what is missing: annotation files, then photos (one entry with their count)."""
        folder = _annotation_folder(Path(root))
        missing = [
            Missing(str(folder / f"{subset}.json"), _ANNOTATIONS)
            for subset in SUBSETS
            if not (folder / f"{subset}.json").is_file()
        ]
        if missing:
            return missing
        photos = self._photos(Path(root))
        names = {item["filename"] for items in _read(folder).values() for item in items.values()}
        absent = sorted(name for name in names if not os.path.isfile(photos / name))
        if absent and not (self.available_only and len(absent) < len(names)):
            option = "" if self.available_only else ", or set available_only to score the rest"
            return [Missing(str(photos / absent[0]), _PHOTOS + option, len(absent))]
        return []

    def items(self, root: str | Path) -> PairItems:
        """Read the questions, in the order of the files.

        Raises:
            UserError: Files are missing or not in SugarCrepe's format.
        """
        require(self.check(root), self.name)
        photos, found, total = self._photos(Path(root)), [], 0
        for subset, entries in _read(_annotation_folder(Path(root))).items():
            total += len(entries)
            for number, entry in entries.items():
                photo = photos / entry["filename"]
                if os.path.isfile(photo):
                    found.append(
                        PairItem(number, subset, photo, entry["caption"], entry["negative_caption"])
                    )
        return PairItems(found, total)

    def score(
        self, model: Encoder, items: PairItems, *, progress: Progress | None = None
    ) -> list[Result]:
        """Return accuracy of the subsets, the groups, and their mean, of a Clip or a method."""
        protocol = "image to text, 2 choices, ties are errors; groups micro, mean of groups"
        if len(items) < items.of:
            protocol += f"; {len(items)} of {items.of} items, whose photos are present"
        sheet = Sheet(self.name, model_name(model), protocol, version=self.version)
        texts = tokenize(model, pair_texts(items.items))
        sheet.protocol += texts.note
        unreadable = Unreadable(self.name, self.most_left_out)
        scores = pair_scores(
            model,
            items.items,
            texts=texts,
            batch_size=self.batch_size,
            progress=progress,
            unreadable=unreadable,
        )
        sheet.protocol += unreadable.note_of("with their items")
        sheet.account = unreadable.account()
        subsets = [item.subset for item in items.items if item.image not in unreadable]
        scores = scores[unreadable.readable([item.image for item in items.items])]
        add_rows(sheet, subsets, scores[:, 0], scores[:, 1])
        return sheet.done()

    def _photos(self, root: Path) -> Path:
        if self.images is not None:
            return Path(self.images)
        below = ("val2017", "images", "images/val2017", "coco/val2017", "coco/images/val2017")
        found = [root / name for name in below if (root / name).is_dir()]
        return found[0] if found else root / below[0]


def pair_scores(
    model: Encoder,
    items: Sequence[PairItem],
    *,
    texts: Tokenized | None = None,
    batch_size: int = 128,
    progress: Progress | None = None,
    unreadable: Unreadable | None = None,
) -> Tensor:
    """Return (N, 2) cosines of each picture with its caption and with its negative.

    Each distinct picture and each distinct text is encoded once; `texts` are the items'
    `pair_texts`, if they are tokenized already. Pictures that `unreadable` notes have NaN.
    """
    images = encode_images(
        model,
        [item.image for item in items],
        batch_size=batch_size,
        progress=progress,
        unreadable=unreadable,
    )
    asked = pair_texts(items) if texts is None else texts
    embedded = encode_texts(model, asked, batch_size=2 * batch_size, progress=progress)
    both = embedded.reshape(2, len(items), -1)
    return (both * images).sum(dim=2).T


def pair_texts(items: Sequence[PairItem]) -> list[str]:
    """Return the captions of questions, and behind them their negatives."""
    return [item.caption for item in items] + [item.negative for item in items]


def add_rows(sheet: Sheet, subsets: Sequence[str], own: Tensor, other: Tensor) -> None:
    """Append the rows of subsets, groups and mean, as far as there are items.

    Each of N items has a subset (one of `SUBSETS`), and scores of its caption and its negative.

    A group without items (possible when few photos are present) has no row, and the mean exists
    only over all three.
    """
    asked = Counter(subsets)
    correct = _counted(subsets, pair_correct(own, other))
    tied = _counted(subsets, pair_tied(own, other))
    for subset in SUBSETS:
        if asked[subset]:
            share = correct[subset] / asked[subset]
            sheet.add(subset, "acc", share, asked[subset], PAIR_CHANCE, tied[subset])
    groups = group_means(correct, asked)
    for group, value in groups.items():
        n = sum(asked[subset] for subset in GROUPS[group])
        ties = sum(tied[subset] for subset in GROUPS[group])
        sheet.add(group, "acc", value, n, PAIR_CHANCE, ties)
    if len(groups) == len(GROUPS):
        mean = sum(groups.values()) / len(groups)
        marks = _marks(subsets, pair_correct(own, other), asked)
        sheet.add("mean", "acc", mean, len(subsets), PAIR_CHANCE, tied.total(), marks)


def _marks(subsets: Sequence[str], correct: Tensor, asked: Mapping[str, int]) -> Tensor:
    """Return what each of N items adds to the mean of the groups; their mean is that."""
    shares = {
        subset: len(subsets) / len(GROUPS) / sum(asked[name] for name in members)
        for members in GROUPS.values()
        for subset in members
    }
    weights = torch.tensor([shares[name] for name in subsets], dtype=torch.float64)
    return correct.cpu() * weights


def _counted(subsets: Sequence[str], which: Tensor) -> Counter[str]:
    """Return how many of the items of each subset are meant by `which` (N,)."""
    return Counter(name for name, meant in zip(subsets, which.tolist(), strict=True) if meant)


def group_means(correct: Mapping[str, float], asked: Mapping[str, int]) -> dict[str, float]:
    """Return the share of right answers in each group that has items, over its items (micro)."""
    means = {}
    for group, members in GROUPS.items():
        n = sum(asked.get(subset, 0) for subset in members)
        if n:
            means[group] = sum(correct.get(subset, 0) for subset in members) / n
    return means


def _annotation_folder(root: Path) -> Path:
    """Return where the seven files lie: the root, or the folder that the repository uses."""
    for folder in (root, root / "sugarcrepe", root / "data"):
        if (folder / f"{SUBSETS[0]}.json").is_file():
            return folder
    return root


def _read(folder: Path) -> dict[str, dict[str, dict[str, str]]]:
    """Return the content of the seven files.

    Raises:
        UserError: A file is not in SugarCrepe's format.
    """
    content = {}
    for subset in SUBSETS:
        path = folder / f"{subset}.json"
        try:
            entries = json.loads(path.read_text(encoding="utf-8-sig"))
            good = isinstance(entries, dict) and all(
                isinstance(entry[field], str) for entry in entries.values() for field in _FIELDS
            )
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            entries, good = {}, False
        if not good:
            raise UserError(
                f"{path} is not a SugarCrepe file: it must map item numbers to "
                f"{', '.join(_FIELDS)}; {_ANNOTATIONS}"
            )
        content[subset] = entries
    return content
