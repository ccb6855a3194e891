"""CREPE, productivity: the caption of a region among five false ones, at rising complexity.

Ma et al., CVPR 2023 (arXiv 2212.07796). Three kinds of negatives (an atom replaced, atoms swapped, a
negation) for captions of 4 to 12 atoms, of Visual Genome. The survey of 2024 averages the items of a kind
(`R@1_micro`) and FSC-CLIP reports the mean of its kinds; READ-CLIP averages the files of a kind
(`R@1_macro_complexity`). Negatives made by the rules that DAC and others train on: compare with care.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch

from trifocal.composition.benchmarks.files import first_there, malformed, read_csv
from trifocal.composition.benchmarks.photo_places import FROM_VISUAL_GENOME, VISUAL_GENOME
from trifocal.composition.benchmarks.suite import Suite
from trifocal.data.held import Cropped
from trifocal.data.regions import Box
from trifocal.data.written_lists import written_list
from trifocal.features.questions import Question, Scored
from trifocal.metrics.benchmark import Missing, Sheet
from trifocal.metrics.choice import choose_text

KINDS = ("atom", "swap", "negate")
COMPLEXITIES = range(4, 13)
_SIDES = ("x", "y", "width", "height")
_COLUMNS = ("image_id", "caption", "hard_negs", *_SIDES)
_WHAT = "a file of CREPE's hard negatives"


@dataclass
class Crepe(Suite):
    """The benchmark over files in their published form (see `Suite` for its options).

    With `available_only`, files may be absent, too, as long as each kind has one; the protocol names
    the complexities that there are.
    """

    name: ClassVar[str] = "crepe"
    source: ClassVar[str] = (
        "github.com/RAIVNLab/CREPE (no licence stated), folder prod_hard_negatives/"
    )
    protocol: ClassVar[str] = "productivity, 6 texts, regions cut out, ties are errors"
    headline: ClassVar[tuple[str, str]] = ("mean", "R@1_micro")
    photos_from: ClassVar[str] = FROM_VISUAL_GENOME

    def files(self, root: Path) -> list[Missing]:
        """Return the files of all kinds and complexities."""
        every = self._files(root)
        if self.available_only:
            there = {key: file for key, file in every.items() if Path(file.path).exists()}
            if {kind for kind, _ in there} == set(KINDS):
                every = there
        return list(every.values())

    def form(self, root: Path) -> str:
        """Return which complexities there are, if not all."""
        files = self._files(root)
        found = [key for key, file in files.items() if Path(file.path).exists()]
        numbers = sorted({complexity for _, complexity in found})
        return "" if len(found) == len(files) else f"complexities {', '.join(map(str, numbers))}"

    def read(self, root: Path) -> list[Question]:
        """Read them; a part is a kind at a complexity, and the true text the first of a question."""
        photos = self.photos(root, *VISUAL_GENOME)
        asked = {file.path for file in self.files(root)}
        found = []
        for (kind, complexity), file in self._files(root).items():
            if file.path not in asked:
                continue
            path = Path(file.path)
            for number, row in enumerate(read_csv(path, _COLUMNS, _WHAT)):
                photo = Cropped(photos.find(f"{row['image_id']}.jpg"), _box(row, path, number))
                texts = (row["caption"], *_negatives(row, path, number))
                found.append(Question(f"{kind}_{complexity}", (photo,), texts, str(number)))
        return found

    def rows(self, sheet: Sheet, scored: Scored) -> None:
        """Append `R@1` of each file, then micro and macro of each kind and of the three kinds."""
        outcome, blind = choose_text(scored.scores), choose_text(scored.blind)
        answers = scored.answers(outcome, scored.chance(), blind)
        there = dict.fromkeys(answers.part)
        kinds = {kind: [part for part in there if part.startswith(kind)] for kind in KINDS}
        tree = {**{kind: parts for kind, parts in kinds.items() if parts}, "mean": KINDS}
        answers.add_rows(sheet, "R@1", tree, names=dict.fromkeys(tree, "R@1_macro_complexity"))
        micro = {kind: answers.of_part(*parts) for kind, parts in kinds.items()}
        if all(kinds.values()):
            micro["mean"] = torch.stack(list(micro.values())).mean(dim=0)
        for name, weights in micro.items():
            answers.add_row(sheet, name, "R@1_micro", weights)

    def _files(self, root: Path) -> dict[tuple[str, int], Missing]:
        folder = first_there(root, "prod_hard_negatives", KINDS[0])
        base = folder if folder.name == "prod_hard_negatives" else folder.parent
        return {
            (kind, number): Missing(
                str(base / kind / f"prod_vg_hard_negs_{kind}_complexity_{number}.csv"),
                f"get it from {self.source}",
            )
            for kind in KINDS
            for number in COMPLEXITIES
        }


def _box(row: dict[str, str], path: Path, where: int) -> Box:
    """Return the region, in the photo's pixels."""
    try:
        left, top, width, height = (float(row[side]) for side in _SIDES)
    except ValueError:
        left = top = width = height = math.nan
    if not all(map(math.isfinite, (left, top, width, height))):
        raise malformed(path, where, _WHAT, "numbers x, y, width and height")
    return (left, top, width, height)


def _negatives(row: dict[str, str], path: Path, where: int) -> list[str]:
    """Return the false texts: a list, or a set, written out."""
    try:
        texts = written_list(row["hard_negs"])
    except ValueError:
        texts = None
    if not texts or not all(isinstance(text, str) for text in texts):
        raise malformed(path, where, _WHAT, "hard_negs, a list of texts")
    return texts
