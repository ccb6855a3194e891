"""What'sUp: prepositions, in controlled photos and in questions about COCO and Visual Genome.

Kamath et al., EMNLP 2023. Six parts: two sets of photos in which only the place of an object changes (four
texts each), and four lists of photos of COCO and Visual Genome (two texts each). Beside the accuracy of
single questions, the controlled sets have that of pairs (left and right, on and under, in front and behind:
both right) and of sets (all four right).

Means differ in print: FSC-CLIP and the survey average the six parts (`mean`), the paper the parts inside
three groups first (`mean_of_groups`), READ-CLIP averages the questions inside them (`acc_micro_group`).
Of the first controlled set, `pillow_left_of_chair` and `pillow_right_of_chair` are exchanged at the
source (its issue 4); they are asked as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

import torch

from trifocal.composition.benchmarks.files import first_there, malformed, read_list, strings
from trifocal.composition.benchmarks.photo_places import VISUAL_GENOME, coco
from trifocal.composition.benchmarks.suite import Suite
from trifocal.features.questions import Question, Scored
from trifocal.metrics.answers import Answers
from trifocal.metrics.benchmark import Missing, Sheet
from trifocal.metrics.choice import choose_text

CONTROLLED = {"controlled_a": "controlled_images", "controlled_b": "controlled_clevr"}
LISTS = ("coco_qa_one_obj", "coco_qa_two_obj", "vg_qa_one_obj", "vg_qa_two_obj")
GROUPS = {"controlled": tuple(CONTROLLED), "coco_qa": LISTS[:2], "vg_qa": LISTS[2:]}
_TREE = {**GROUPS, "mean": (*CONTROLLED, *LISTS), "mean_of_groups": tuple(GROUPS)}
_VISUAL_GENOME = ("vg_images", "data/vg_images", *VISUAL_GENOME)
_OPPOSITES = (("left", "right"), ("on", "under"), ("in-front", "behind"))
_WHAT = "a What'sUp file"


@dataclass
class WhatsUp(Suite):
    """The benchmark over files in their published form (see `Suite` for its options)."""

    name: ClassVar[str] = "whatsup"
    source: ClassVar[str] = (
        "github.com/amitakamath/whatsup_vlms (MIT), whose README links to the files and their photos"
    )
    protocol: ClassVar[str] = "4 or 2 texts, ties are errors; means macro over the six parts"
    headline: ClassVar[tuple[str, str]] = ("mean", "acc")
    photos_from: ClassVar[str] = (
        "get controlled_images.tar.gz, controlled_clevr.tar.gz, vg_images.tar.gz (links in the README "
        "of github.com/amitakamath/whatsup_vlms) and COCO's val2017 photos"
    )

    def files(self, root: Path) -> list[Missing]:
        """Return the six files."""
        names = [f"{name}_dataset.json" for name in CONTROLLED.values()]
        names += [f"{name}.json" for name in LISTS]
        folder = first_there(root, names[0], f"data/{names[0]}").parent
        return [Missing(str(folder / name), f"get it from {self.source}") for name in names]

    def read(self, root: Path) -> list[Question]:
        """Read them; the true text is the first of a question."""
        paths = [Path(file.path) for file in self.files(root)]
        found: list[Question] = []
        for (part, folder), path in zip(CONTROLLED.items(), paths[:2], strict=True):
            photos = self.photos(root, folder, f"data/{folder}")
            for number, entry in enumerate(read_list(path, _WHAT)):
                file, texts = _controlled(entry, path, number)
                found.append(Question(part, (photos.find(file.name),), texts, file.stem))
        for part, path in zip(LISTS, paths[2:], strict=True):
            whose = part.partition("_")[0]
            photos = self.photos(root, *(coco("val2017") if whose == "coco" else _VISUAL_GENOME))
            for number, entry in enumerate(read_list(path, _WHAT)):
                photo, texts = _listed(entry, path, number)
                file = photo.zfill(12) if whose == "coco" else photo
                found.append(Question(part, (photos.find(f"{file}.jpg"),), texts, str(number)))
        return found

    def rows(self, sheet: Sheet, scored: Scored) -> None:
        """Append `acc` of parts, groups and means; `acc_pair` and `acc_set` of controlled photos."""
        outcome, blind = choose_text(scored.scores), choose_text(scored.blind)
        answers = scored.answers(outcome, scored.chance(), blind)
        self._rows(sheet, scored.questions, answers, "")
        if self.official:  # the authors' argmax takes the first of equals, which is the truth
            self._rows(sheet, scored.questions, answers.ties_right(), "_ties_right")

    def _rows(self, sheet: Sheet, asked: Sequence[Question], answers: Answers, rule: str) -> None:
        answers.add_rows(sheet, f"acc{rule}", _TREE)
        groups = {name: answers.of_part(*members) for name, members in GROUPS.items()}
        if all(weights.any() for weights in groups.values()):
            groups["mean"] = torch.stack(list(groups.values())).mean(dim=0)
        for name, weights in groups.items():
            answers.add_row(sheet, name, f"acc_micro_group{rule}", weights)
        pairs, sets = _together(asked)
        for name, members in (("pair", pairs), ("set", sets)):
            if members:
                together = _all_right(answers, members)
                tree = {"controlled": tuple(CONTROLLED)}
                together.add_rows(sheet, f"acc_{name}{rule}", tree)


def _controlled(entry: Any, path: Path, where: int) -> tuple[PurePosixPath, tuple[str, ...]]:
    """Return the photo's file, whose name says what is where, and the four texts."""
    (name,) = strings(entry, ("image_path",), path, where, _WHAT)
    options = entry.get("caption_options")
    texts = [one for one in options if isinstance(one, str)] if isinstance(options, list) else []
    file = PurePosixPath(name)
    if len(texts) != 4 or len(file.stem.split("_")) < 3:
        fields = "image_path, as object_left_of_object.jpeg, and 4 caption_options"
        raise malformed(path, where, _WHAT, fields)
    return file, tuple(texts)


def _listed(entry: Any, path: Path, where: int) -> tuple[str, tuple[str, str]]:
    """Return the number of a photo, the true and the false text."""
    if isinstance(entry, list) and len(entry) == 3:
        photo, true, false = entry
        number = isinstance(photo, int | str) and str(photo).isdecimal()
        if number and isinstance(true, str) and isinstance(false, str):
            return str(photo), (true, false)
    raise malformed(path, where, _WHAT, "a photo's number, a true and a false text")


def _together(asked: Sequence[Question]) -> tuple[list[list[int]], list[list[int]]]:
    """Return which questions are a pair, and which a set; those that miss a member are not asked."""
    sets: dict[tuple[str, str, str], dict[str, int]] = {}
    for number, question in enumerate(asked):
        if question.part in CONTROLLED:
            first, relation, *_, last = question.id.split("_")
            sets.setdefault((question.part, first, last), {})[relation] = number
    pairs = [
        [places[one], places[other]]
        for places in sets.values()
        for one, other in _OPPOSITES
        if one in places and other in places
    ]
    return pairs, [list(places.values()) for places in sets.values() if len(places) == 4]


def _all_right(answers: Answers, groups: list[list[int]]) -> Answers:
    """Return the outcome of questions that are right together."""
    member = torch.tensor(groups)
    right, tied = answers.right[member], answers.tied[member]
    blind = None if answers.blind is None else answers.blind[member].all(dim=1)
    part = [answers.part[first] for first, *_ in groups]
    won = right.all(dim=1)
    not_lost = (right | tied).all(dim=1)
    return Answers(part, won, not_lost & ~won, answers.chance[member].prod(dim=1), blind)
