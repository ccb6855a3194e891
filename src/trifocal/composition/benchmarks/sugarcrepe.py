"""SugarCrepe: does a picture prefer its caption to a fluent, plausible, false one?

Hsieh et al., NeurIPS 2023 Datasets and Benchmarks (arXiv 2306.14610): seven subsets, replace
object/attribute/relation, swap object/attribute, add object/attribute, over COCO val2017. An item
is right if the caption scores strictly higher than its negative. The groups replace, swap and add
are averaged over items (micro), and the benchmark's number is the mean of the three groups.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from trifocal.composition.benchmarks.files import first_there
from trifocal.composition.benchmarks.photo_places import coco
from trifocal.composition.benchmarks.suite import Suite
from trifocal.errors import UserError
from trifocal.features.questions import Question, Scored
from trifocal.metrics.benchmark import Missing, Sheet
from trifocal.metrics.choice import PAIR_CHANCE, pair_correct, pair_tied

GROUPS: dict[str, tuple[str, ...]] = {
    "replace": ("replace_obj", "replace_att", "replace_rel"),
    "swap": ("swap_obj", "swap_att"),
    "add": ("add_obj", "add_att"),
}
SUBSETS = tuple(subset for members in GROUPS.values() for subset in members)
_FIELDS = ("filename", "caption", "negative_caption")
_ANNOTATIONS = "get it from github.com/RAIVNLab/sugar-crepe (MIT), folder data/"


@dataclass
class SugarCrepe(Suite):
    """The benchmark over files in their published form (see `Suite` for its options)."""

    name: ClassVar[str] = "sugarcrepe"
    source: ClassVar[str] = (
        "github.com/RAIVNLab/sugar-crepe (MIT); photos: COCO val2017 (CC BY 4.0 and Flickr terms)"
    )
    protocol: ClassVar[str] = (
        "image to text, 2 choices, ties are errors; groups micro, mean of groups"
    )
    headline: ClassVar[tuple[str, str]] = ("mean", "acc")
    photos_from: ClassVar[str] = "get COCO's val2017 photos (cocodataset.org, val2017.zip, 1 GB)"

    def files(self, root: Path) -> list[Missing]:
        """Return the seven files: in the root, or in the folder that the repository uses."""
        first = f"{SUBSETS[0]}.json"
        folder = first_there(root, first, f"sugarcrepe/{first}", f"data/{first}").parent
        return [Missing(str(folder / f"{subset}.json"), _ANNOTATIONS) for subset in SUBSETS]

    def read(self, root: Path) -> list[Question]:
        """Read them; the texts of a question are the caption and its negative."""
        photos = self.photos(root, *coco("val2017"))
        return [
            Question(
                subset,
                (photos.find(entry["filename"]),),
                (entry["caption"], entry["negative_caption"]),
                number,
            )
            for subset, file in zip(SUBSETS, self.files(root), strict=True)
            for number, entry in _read(Path(file.path)).items()
        ]

    def rows(self, sheet: Sheet, scored: Scored) -> None:
        """Append the rows of subsets, groups and mean."""
        subsets = [question.part for question in scored.questions]
        own, other = scored.scores[:, 0].unbind(dim=1)
        add_rows(sheet, subsets, own, other, pair_correct(*scored.blind[:, 0].unbind(dim=1)))


def add_rows(
    sheet: Sheet, subsets: Sequence[str], own: Tensor, other: Tensor, blind: Tensor | None = None
) -> None:
    """Append the rows of subsets, groups and mean, as far as there are items.

    A group without items (possible when few photos are present) has no row, and the mean exists
    only over all three.

    Args:
        sheet: Takes them.
        subsets: Of each of N items, one of `SUBSETS`.
        own, other: (N,) scores of its caption and of its negative.
        blind: (N,) bool, what is right where pictures are not seen, if that is asked.
    """
    asked = Counter(subsets)
    correct = _counted(subsets, pair_correct(own, other))
    tied = _counted(subsets, pair_tied(own, other))
    values = means(correct, asked)
    unseen = {} if blind is None else means(_counted(subsets, blind), asked)
    for name, value in values.items():
        members = [one for one in SUBSETS if name in (one, *_above(one))]
        n, ties = (sum(count[one] for one in members) for count in (asked, tied))
        marks = _marks(name, subsets, pair_correct(own, other), asked)
        sheet.add(name, "acc", value, n, PAIR_CHANCE, ties, marks, unseen.get(name))


def _above(subset: str) -> tuple[str, str]:
    """Return the means that a subset is in: its group, and the mean."""
    return next(group for group, members in GROUPS.items() if subset in members), "mean"


def means(correct: Mapping[str, float], asked: Mapping[str, int]) -> dict[str, float]:
    """Return the share of right answers in each subset and group that has items, and their mean."""
    found = {one: correct.get(one, 0) / asked[one] for one in SUBSETS if asked.get(one)}
    groups = group_means(correct, asked)
    found |= groups
    if len(groups) == len(GROUPS):
        found["mean"] = sum(groups.values()) / len(groups)
    return found


def _marks(name: str, subsets: Sequence[str], correct: Tensor, asked: Mapping[str, int]) -> Tensor:
    """Return what each item of a subset, a group or the mean adds to it; their mean is that."""
    if name != "mean":
        members = GROUPS.get(name, (name,))
        return correct.cpu()[torch.tensor([one in members for one in subsets])].double()
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


def _read(path: Path) -> dict[str, dict[str, str]]:
    """Return the content of one of the seven files.

    Raises:
        UserError: It is not in SugarCrepe's format.
    """
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
    return entries
