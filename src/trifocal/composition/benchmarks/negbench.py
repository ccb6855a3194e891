"""NegBench, choices: which of four captions, some of which deny something, is true of the photo?

Alhamoud et al., CVPR 2025 (arXiv 2501.09425), over COCO val2017 and VOC2007's test photos. The true
caption is a plain one (positive), one that denies what is not there (negative), or one that does
both (hybrid). The authors' total is micro over all questions of a set; `acc_macro` is the mean of the
kinds. Their code ranks by `argmax` with the true caption first, so that ties are right.

NegBench's retrieval is `negbench_retrieval`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import ClassVar

import torch

from trifocal.composition.benchmarks.files import first_there, malformed, read_csv
from trifocal.composition.benchmarks.photo_places import coco
from trifocal.composition.benchmarks.suite import PhotoFolders, Suite
from trifocal.errors import UserError, nearest
from trifocal.features.questions import Question, Scored
from trifocal.metrics.answers import Answers
from trifocal.metrics.benchmark import Missing, Sheet
from trifocal.metrics.choice import choose_text

KINDS = ("positive", "negative", "hybrid")
SOURCE = (
    "github.com/m1k2zoo/negbench (MIT; CSV files on Google Drive, linked in its datasets.md); "
    "photos: COCO val2017, VOC2007 test"
)
_FILES = {
    "coco": "COCO_val_mcq_llama3.1_rephrased.csv",
    "voc": "VOC2007_mcq_llama3.1_rephrased.csv",
}
_VOC = ("VOC2007/JPEGImages", "VOCdevkit/VOC2007/JPEGImages", "voc2007/JPEGImages", "VOC2007")
_CAPTIONS = ("caption_0", "caption_1", "caption_2", "caption_3")
_COLUMNS = ("image_path", *_CAPTIONS, "correct_answer", "correct_answer_template")
_WHAT = "a NegBench file of choices"


@dataclass
class NegBench(Suite):
    """The choices over files in their published form (see `Suite` for its options).

    Attributes:
        sets: Which photos are asked about, of "coco" and "voc".
    """

    sets: tuple[str, ...] = ("coco", "voc")

    name: ClassVar[str] = "negbench"
    source: ClassVar[str] = SOURCE
    protocol: ClassVar[str] = (
        "image to text, 4 choices, ties are errors; acc_micro over a set, acc_macro over kinds"
    )
    headline: ClassVar[tuple[str, str]] = ("mean", "acc_micro")
    photos_from: ClassVar[str] = (
        "get COCO's val2017 photos (cocodataset.org, val2017.zip, 1 GB) and VOC2007's test photos "
        "(host.robots.ox.ac.uk/pascal/VOC, VOCtest_06-Nov-2007.tar, 0.4 GB), or leave one out of sets"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.sets = (self.sets,) if isinstance(self.sets, str) else tuple(self.sets)
        for one in self.sets:
            if one not in _FILES:
                raise UserError(
                    f"sets has {one!r}.{nearest(str(one), _FILES)} It is of {', '.join(_FILES)}."
                )

    def files(self, root: Path) -> list[Missing]:
        """Return a file for each set."""
        return [
            Missing(
                str(first_there(root, _FILES[one], f"images/{_FILES[one]}", f"data/images/{_FILES[one]}")),
                f"get it from {self.source}",
            )
            for one in self.sets
        ]  # fmt: skip

    def read(self, root: Path) -> list[Question]:
        """Read them; the true caption of a question comes first."""
        places = {"coco": coco("val2017"), "voc": _VOC}
        found = []
        for one, file in zip(self.sets, self.files(root), strict=True):
            found += _read(Path(file.path), one, self.photos(root, *places[one]))
        return found

    def rows(self, sheet: Sheet, scored: Scored) -> None:
        """Append each set's kinds, its mean of them and its total, and the means of the sets."""
        outcome, blind = choose_text(scored.scores), choose_text(scored.blind)
        answers = scored.answers(outcome, scored.chance(), blind)
        _add_rows(sheet, answers, "")
        if self.official:
            _add_rows(sheet, answers.ties_right(), "_ties_right")


def _add_rows(sheet: Sheet, answers: Answers, ending: str) -> None:
    answers.add_rows(sheet, "acc" + ending)
    totals = []
    for one in _FILES:
        kinds = [f"{one}_{kind}" for kind in KINDS]
        macro = answers.mean_weights({one: kinds}).get(one)
        if macro is not None:
            answers.add_row(sheet, one, "acc_macro" + ending, macro)
        totals.append(answers.of_part(*kinds))
        answers.add_row(sheet, one, "acc_micro" + ending, totals[-1])
    if all(bool(total.any()) for total in totals):
        answers.add_row(sheet, "mean", "acc_micro" + ending, torch.stack(totals).mean(dim=0))


def _read(path: Path, name: str, photos: PhotoFolders) -> list[Question]:
    """Return the questions of one file.

    Raises:
        UserError: It is in another form.
    """
    found = []
    for number, row in enumerate(read_csv(path, _COLUMNS, _WHAT)):
        texts = [row[column] for column in _CAPTIONS]
        kind, right = row["correct_answer_template"], row["correct_answer"]
        if kind not in KINDS or right not in ("0", "1", "2", "3"):
            raise malformed(
                path, number, _WHAT, "correct_answer 0 to 3 and a template of " + ", ".join(KINDS)
            )
        first = texts.pop(int(right))
        photo = photos.find(PurePosixPath(row["image_path"]).name)
        found.append(Question(f"{name}_{kind}", (photo,), (first, *texts), str(number)))
    return found
