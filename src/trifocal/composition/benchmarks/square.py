"""What the benchmarks of two pictures and two texts share: Winoground's square and its three scores.

Thrush et al., CVPR 2022 (arXiv 2204.03162), Eq. 1-3: `text` (each picture prefers its text), `image`
(each text prefers its picture), `group` (both). Text k describes picture k.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from trifocal.composition.benchmarks.suite import Suite
from trifocal.features.questions import Question, Scored
from trifocal.metrics.answers import Answers, Tree
from trifocal.metrics.benchmark import Sheet
from trifocal.metrics.choice import GROUP_CHANCE, square

ALL = "all"  # the row of all questions; questions of a benchmark without parts are of this one


@dataclass
class SquareSuite(Suite):
    """A benchmark whose questions are squares (see `Suite` for its options)."""

    protocol: ClassVar[str] = "2 pictures and 2 texts; ties are errors; micro"
    headline: ClassVar[tuple[str, str]] = (ALL, "group")
    tree: ClassVar[Tree] = {}  # means over parts

    def rows(self, sheet: Sheet, scored: Scored) -> None:
        """Append text, image and group of parts, means, all questions, and sub-sets."""
        for metric, answers in squares(scored).items():
            add_square(sheet, metric, answers, self.tree, scored.questions)


def squares(scored: Scored) -> dict[str, Answers]:
    """Return the answers that Winoground's three scores count.

    Where pictures are not seen, both get the same text, so the blind text score is 0.
    """
    blind = square(scored.blind)["text"]
    found = {}
    for metric, outcome in square(scored.scores).items():
        chance = torch.full((len(scored.questions),), GROUP_CHANCE[metric], dtype=torch.float64)
        found[metric] = scored.answers(outcome, chance, blind if metric == "text" else None)
    return found


def add_square(
    sheet: Sheet, metric: str, answers: Answers, tree: Tree, questions: Sequence[Question]
) -> None:
    """Append the rows of one score: parts, means of a tree, all questions, sub-sets by tag."""
    answers.add_rows(sheet, metric, tree)
    if ALL not in answers.part:
        answers.add_row(sheet, ALL, metric, answers.micro())
    for tag in sorted({tag for question in questions for tag in question.tags}):
        member = torch.tensor([tag in one.tags for one in questions], dtype=torch.float64)
        answers.add_row(sheet, tag, metric, member / member.sum())
