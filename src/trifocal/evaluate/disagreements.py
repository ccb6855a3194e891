"""Questions that one of two models gets right and the other wrong, read from what results keep.

Rows hold what each question adds to them (`Result.marks`), a results file has it beside it
(`marks.py`); the questions themselves are read from the benchmark's files again, and are known to be
the same by their digest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from trifocal.composition.benchmarks.suite import Suite, asked_about
from trifocal.data.held import Held
from trifocal.data.images import BadImage, open_image
from trifocal.evaluate.marks import read_marks, read_scores
from trifocal.features.questions import Question
from trifocal.metrics.result import Result

# What is right is read from the first of these that is there: a square from its strictest score.
_WHOLE = (("all", "group"),)
Kept = Callable[[Result], "np.ndarray | None"]


@dataclass(frozen=True)
class Answered:
    """A model's answers to the questions of a benchmark.

    Attributes:
        rows: Its rows of that benchmark.
        marks: Returns what each question adds to a row; by default what the row itself holds.
        scores: Returns the scores of all questions of the benchmark that a row is of, (N, I, T).
    """

    rows: Sequence[Result]
    marks: Kept = lambda row: _array(row.marks)
    scores: Kept = lambda row: _array(row.scores)

    @classmethod
    def in_file(cls, path: str | PathLike[str], rows: Sequence[Result]) -> Answered:
        """Return what is kept beside the results file that rows were read from."""
        return cls(rows, partial(read_marks, path), partial(read_scores, path))


@dataclass(frozen=True)
class Disagreement:
    """A question that one model answers rightly and the other does not.

    Attributes:
        question: The question.
        scores: Cosines of the first model and of the second, each (I, T).
    """

    question: Question
    scores: tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Disagreements:
    """What two models disagree about in one benchmark.

    Attributes:
        benchmark: Its name.
        measure: Task and metric of the rows that say what is right.
        asked: How many questions both answered.
        true_texts: How many of the first texts of a question are true.
        first, second: Questions that only the first, or only the second model answers rightly.
    """

    benchmark: str
    measure: str
    asked: int
    true_texts: int
    first: Sequence[Disagreement]
    second: Sequence[Disagreement]


def disagreements(
    benchmark: Suite, root: str | Path, first: Answered, second: Answered
) -> list[Disagreements] | None:
    """Return what two models disagree about, one entry for each rule that says what is right.

    Nothing of questions about whether one text is true of one picture: nothing is chosen there. None
    where the answers are not known, or not to these questions.

    Args:
        benchmark: The benchmark, with the options that it was scored with.
        root: Folder of its data.
        first, second: The models' answers.

    Raises:
        UserError: The benchmark's files cannot be read.
    """
    common = _common(first.rows, second.rows)
    if not common:
        return None
    one, other = common[0]
    questions = _same(benchmark.items(root).items, one.asked)
    ours, theirs = first.scores(one), second.scores(other)
    if questions is None or ours is None or theirs is None:
        return None
    if not len(questions) == len(ours) == len(theirs):
        return None
    chosen = np.array([len(each.images) * len(each.texts) > 1 for each in questions])
    found, seen = [], ~chosen
    for one, other in sorted(common, key=lambda pair: _rank(benchmark, pair[0])):
        about = _about(one, questions)
        left, right = first.marks(one), second.marks(other)
        if about is None or left is None or right is None or seen[about].any():
            continue
        seen[about] = True
        wins = {"first": (left > 0) & (right <= 0), "second": (right > 0) & (left <= 0)}
        kept = {
            which: [_cut(questions[place], ours[place], theirs[place]) for place in about[won]]
            for which, won in wins.items()
        }
        measure = f"{one.task} {one.metric}"
        found.append(
            Disagreements(benchmark.name, measure, len(about), benchmark.true_texts, **kept)
        )
    return found


def _common(first: Sequence[Result], second: Sequence[Result]) -> list[tuple[Result, Result]]:
    """Return the rows of the same measure of the same questions."""
    theirs = {row.key: row for row in second}
    pairs = [(row, theirs[row.key]) for row in first if row.key in theirs]
    return [(one, other) for one, other in pairs if one.asked and one.asked == other.asked]


def _rank(benchmark: Suite, row: Result) -> int:
    """Return how early a row is asked what is right: the row of all questions, then single parts."""
    measure = (row.task, row.metric)
    if measure in _WHOLE:
        return 0
    if measure == benchmark.headline and "retrieval" not in row.metric:
        return 1
    return 2 if row.metric == benchmark.headline[1] else 3


def _about(row: Result, questions: Sequence[Question]) -> np.ndarray | None:
    """Return which questions a row is about; None if that cannot be told."""
    if row.n == len(questions):
        return np.arange(row.n)
    places = [place for place, one in enumerate(questions) if one.part == row.task]
    return np.array(places) if len(places) == row.n else None


def _same(questions: Sequence[Question], asked: str) -> Sequence[Question] | None:
    """Return the questions that were asked: all, or all whose pictures can be read; else None."""
    if asked_about(questions) == asked:
        return questions
    readable: dict[Any, bool] = {}
    for one in questions:
        for picture in one.images:
            if picture not in readable:
                readable[picture] = opened(picture) is not None
    kept = [one for one in questions if all(readable[each] for each in one.images)]
    return kept if asked_about(kept) == asked else None


def opened(picture: Any) -> Image.Image | None:
    """Return a picture that lies in a file; None if it cannot be read."""
    try:
        return picture.show() if isinstance(picture, Held) else open_image(picture)
    except BadImage:
        return None


def _cut(question: Question, ours: np.ndarray, theirs: np.ndarray) -> Disagreement:
    """Return the scores of a question without the places that it does not fill."""
    size = np.s_[: len(question.images), : len(question.texts)]
    return Disagreement(question, (ours[size], theirs[size]))


def _array(values: Tensor | None) -> np.ndarray | None:
    return None if values is None else values.detach().cpu().numpy()
