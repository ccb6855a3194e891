"""VSR: does a caption say rightly where things in a photo are?

Liu, Emerson and Collier, TACL 2023 (arXiv 2205.00363). Each caption is true or false of its photo, and there
is no foil, so a similarity alone is no answer. The authors train a head; without training we report how
well the similarity orders true before false (`roc_auc`), and the accuracy with one threshold that is
fitted on the dev split (`acc`). Split "zeroshot" shares no concept with its training part; "random" is
read if it is there.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from trifocal.composition.benchmarks.files import (
    first_there,
    malformed,
    read_json_lines,
    strings,
)
from trifocal.composition.benchmarks.photo_places import coco
from trifocal.composition.benchmarks.suite import Suite
from trifocal.features.questions import Question, Scored
from trifocal.metrics.average_precision import roc_auc
from trifocal.metrics.benchmark import Missing, Sheet
from trifocal.metrics.choice import Outcome
from trifocal.metrics.threshold import best_threshold

SPLITS = ("zeroshot", "random")
_DEV = "_dev"  # what the name of a split's dev part ends with
_WHAT = "a VSR file"


@dataclass
class Vsr(Suite):
    """The benchmark over files in their published form (see `Suite` for its options)."""

    name: ClassVar[str] = "vsr"
    source: ClassVar[str] = (
        "github.com/cambridgeltl/visual-spatial-reasoning (Apache-2.0), folder data/splits/, or the "
        "Hub's cambridgeltl/vsr_zeroshot"
    )
    protocol: ClassVar[str] = (
        "one text, true or false; roc_auc counts ties as half; acc by one threshold fitted on dev"
    )
    headline: ClassVar[tuple[str, str]] = ("zeroshot", "roc_auc")
    photos_from: ClassVar[str] = "get COCO's train2017 and val2017 photos (cocodataset.org, 19 GB)"

    def files(self, root: Path) -> list[Missing]:
        """Return the test file of the zero-shot split; others are read if they are there."""
        path = _file(root, SPLITS[0], "test")
        return [Missing(str(path), f"get it from {self.source}")]

    def form(self, root: Path) -> str:
        """Return which splits lack a threshold."""
        lacking = [
            split
            for split in SPLITS
            if _file(root, split, "test").exists() and not _file(root, split, "dev").exists()
        ]
        return f"no dev split of {' and '.join(lacking)}" if lacking else ""

    def read(self, root: Path) -> list[Question]:
        """Read the test and the dev parts of the splits that there are."""
        photos = self.photos(root, "trainval2017", *coco("train2017", "val2017"))
        found = []
        for split in SPLITS:
            tests = _file(root, split, "test")
            for path, part in ((tests, split), (_file(root, split, "dev"), split + _DEV)):
                if not tests.exists() or not path.exists():
                    continue
                for number, entry in enumerate(read_json_lines(path, _WHAT)):
                    photo, caption = strings(entry, ("image", "caption"), path, number, _WHAT)
                    label = entry.get("label")
                    if label not in (0, 1):
                        raise malformed(path, number, _WHAT, "a label, 0 or 1")
                    question = (part, (photos.find(photo),), (caption,), str(number))
                    found.append(Question(*question, holds=bool(label)))
        return found

    def rows(self, sheet: Sheet, scored: Scored) -> None:
        """Append `roc_auc` and, with a dev part, `acc` of each split."""
        part = [question.part for question in scored.questions]
        holds = torch.tensor([question.holds for question in scored.questions])
        seen, blind = scored.scores[:, 0, 0], scored.blind[:, 0, 0]
        half = torch.full((len(part),), 0.5, dtype=torch.float64)
        for split in SPLITS:
            own = torch.tensor([name == split for name in part])
            if not 0 < int(holds[own].sum()) < int(own.sum()):
                continue  # nothing to tell apart
            area = roc_auc(seen[own], holds[own])
            alone = roc_auc(blind[own], holds[own])
            sheet.add(split, "roc_auc", area, int(own.sum()), 0.5, blind=alone)
            dev = torch.tensor([name == split + _DEV for name in part])
            if dev.any():
                answers = scored.answers(
                    _judged(seen, holds, dev), half, _judged(blind, holds, dev)
                )
                answers.add_row(sheet, split, "acc", answers.of_part(split))


def _judged(scores: Tensor, holds: Tensor, dev: Tensor) -> Outcome:
    """Return which of (N,) answers are right under the threshold that fits some of them best."""
    right = (scores > best_threshold(scores[dev], holds[dev])) == holds
    return Outcome(right, torch.zeros_like(right))


def _file(root: Path, split: str, part: str) -> Path:
    """Return where a file lies: as in the repository, the Hub's data sets, or flat."""
    return first_there(
        root,
        f"{split}/{part}.jsonl",
        f"splits/{split}/{part}.jsonl",
        f"data/splits/{split}/{part}.jsonl",
        f"vsr_{split}/{part}.jsonl",
        f"{split}_{part}.jsonl",
    )
