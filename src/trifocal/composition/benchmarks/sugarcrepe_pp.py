"""SugarCrepe++: two true captions in different words against one false one.

Dumpala et al., NeurIPS 2024 Datasets and Benchmarks (arXiv 2406.11171), over SugarCrepe's photos.
Image to text (`itt`): the picture prefers both true captions to the false one. Text only, in the two
forms in print: `tot_p1` (the first true caption is nearer to the second than to the false one; the
authors' README) and `tot_sym` (and so is the second; READ-CLIP's evaluator).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch

from trifocal.composition.benchmarks.files import first_there, read_list, strings
from trifocal.composition.benchmarks.suite import Suite
from trifocal.features.questions import Question, Scored
from trifocal.metrics.benchmark import Missing, Sheet
from trifocal.metrics.choice import first_wins

PARTS = ("replace_obj", "replace_att", "replace_rel", "swap_obj", "swap_att")
_TREE = {"replace": PARTS[:3], "swap": PARTS[3:], "mean": PARTS}
_FIELDS = ("filename", "caption", "caption2", "negative_caption")
_WHAT = "a SugarCrepe++ file"


@dataclass
class SugarCrepePlus(Suite):
    """The benchmark over files in their published form (see `Suite` for its options)."""

    name: ClassVar[str] = "sugarcrepe_pp"
    source: ClassVar[str] = (
        "github.com/Sri-Harsha/scpp (CC BY 4.0), folder data/; photos: COCO val2017"
    )
    protocol: ClassVar[str] = "2 true captions, 1 false; ties are errors; means macro over parts"
    headline: ClassVar[tuple[str, str]] = ("mean", "itt")
    photos_from: ClassVar[str] = "get COCO's val2017 photos (cocodataset.org, val2017.zip, 1 GB)"
    true_texts: ClassVar[int] = 2
    between_texts: ClassVar[bool] = True

    def files(self, root: Path) -> list[Missing]:
        """Return the five files."""
        folder = first_there(root, f"{PARTS[0]}.json", f"data/{PARTS[0]}.json").parent
        return [
            Missing(str(folder / f"{part}.json"), f"get it from {self.source}") for part in PARTS
        ]

    def read(self, root: Path) -> list[Question]:
        """Read them; the texts of a question are both captions and the negative."""
        photos = self.photos(root, "val2017", "coco/val2017", "coco/images/val2017")
        found = []
        for part, file in zip(PARTS, self.files(root), strict=True):
            path = Path(file.path)
            for number, entry in enumerate(read_list(path, _WHAT)):
                photo, *texts = strings(entry, _FIELDS, path, number, _WHAT)
                which = str(entry.get("id", number))
                found.append(Question(part, (photos.find(photo),), tuple(texts), which))
        return found

    def rows(self, sheet: Sheet, scored: Scored) -> None:
        """Append `itt` and both text-only accuracies of parts, groups and mean."""
        both = first_wins(scored.scores[:, 0, [0, 2]]) & first_wins(scored.scores[:, 0, [1, 2]])
        blind = first_wins(scored.blind[:, 0, [0, 2]]) & first_wins(scored.blind[:, 0, [1, 2]])
        count = len(scored.questions)
        third = torch.full((count,), 1 / 3, dtype=torch.float64)
        scored.answers(both, third, blind).add_rows(sheet, "itt", _TREE)
        between = scored.texts
        assert between is not None
        first = first_wins(between[:, 0, [1, 2]])
        half = torch.full((count,), 1 / 2, dtype=torch.float64)
        scored.answers(first, half).add_rows(sheet, "tot_p1", _TREE)
        symmetric = first & first_wins(between[:, 1, [0, 2]])
        scored.answers(symmetric, third).add_rows(sheet, "tot_sym", _TREE)
