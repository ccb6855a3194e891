"""The few-shot protocol: every method on every data set, number of shots and seed, once.

The rule that keeps it honest: a head is fitted to the support pictures, and selects on validation
pictures or on nothing; the test pictures are opened after it is fitted, and nothing is chosen by
them. (Tip-Adapter's published scripts choose the epoch, and on ImageNet α and β, by test accuracy:
gaopengcuhk/Tip-Adapter#11.)

Every fit is kept at once, its rows in the results file and which questions it got right beside it,
so that a run that was stopped goes on where it was.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from trifocal.concepts.calibration import chances
from trifocal.concepts.head import Head
from trifocal.concepts.tasks.task import FewShotTask, TaskSource, TestSet, ValMode
from trifocal.errors import UserError
from trifocal.evaluate.few_shot import concept_rows
from trifocal.evaluate.few_shot.methods import FewShotMethod
from trifocal.evaluate.few_shot.pairs import keep_answers
from trifocal.evaluate.few_shot.rows import (
    ACC,
    BASE,
    ECE,
    ECE_BEFORE,
    FIT,
    PARAMETERS,
    PREDICT,
    RECALL,
    TEST,
    Place,
    identity,
    protocol_text,
)
from trifocal.evaluate.records import ResultsFile, append_results, read_results
from trifocal.metrics.accuracy import correct_at, mean_per_class_recall
from trifocal.metrics.calibration import calibration_error
from trifocal.metrics.result import Result, task_version
from trifocal.progress import Progress, Quiet

SHOTS = (1, 2, 4, 8, 16)
SEEDS = (1, 2, 3)
_LATER = (ECE, ECE_BEFORE, *concept_rows.METRICS)
_ROWS = 1024  # test rows at a time: heads compare each with all support pictures


def run_few_shot(
    sources: Sequence[TaskSource],
    methods: Sequence[FewShotMethod],
    shots: Sequence[int] = SHOTS,
    seeds: Sequence[int] = SEEDS,
    val_mode: ValMode = "few",
    *,
    results: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> list[Result]:
    """Fit and test every method on every task; return all rows.

    A source whose support was drawn by others has one draw only, and is run once instead of once
    a seed.

    Args:
        sources: Data sets.
        methods: What to compare.
        shots: Support pictures of a class.
        seeds: Of the draw of the support and of the heads (0 where the draw is given).
        val_mode: Which validation pictures the heads get.
        results: JSON-lines file to which the rows of each fit are added as it ends; what is in it
            already is not done again.
        progress: Told how far it is.

    Raises:
        UserError: A source or a head lacks something.
    """
    progress = progress or Quiet()
    known: dict[tuple[Any, ...], Result] = {}
    if results is not None:
        append_results(results, [])  # also ends a line that a killed run left half-written
        known = {identity(row): row for row in read_results(results)}
    kept = None if results is None else ResultsFile(results)
    rows: list[Result] = []
    progress.start("few-shot", len(sources) * len(shots) * len(seeds) * len(methods))
    for source in sources:
        for count in shots:
            for drawn, seed in enumerate(seeds):
                tasks = _Tasks(source, count, seed, val_mode, count == max(shots))
                for method in methods:
                    rows += _done(tasks, method, known, kept)
                    progress.advance(1)
                if tasks.given:
                    progress.advance((len(seeds) - drawn - 1) * len(methods))
                    break
    return rows


class _Tasks:
    """One task of a source, made when a head first asks for it: most ask for the same features."""

    def __init__(
        self, source: TaskSource, shots: int, seed: int, val_mode: ValMode, most: bool
    ) -> None:
        self.source = source
        self.most = most  # whether there is none of more shots
        self._asked = (shots, seed, val_mode)
        self._made: dict[bool, FewShotTask] = {}

    def of(self, head: Head) -> FewShotTask:
        before = head.wants_projection
        if before not in self._made:
            self._made[before] = self.source.task(*self._asked, before_projection=before)
        return self._made[before]

    @property
    def given(self) -> bool:
        """Whether the draw came with the features."""
        return any(task.seed is None for task in self._made.values())


def _done(
    tasks: _Tasks,
    method: FewShotMethod,
    known: dict[tuple[Any, ...], Result],
    results: ResultsFile | None,
) -> list[Result]:
    task = tasks.of(method.head())
    head = method.head(task.scale, task.seed or 0)
    planned = _planned(task, head, method.label, tasks.source, tasks.most)
    told = [known.get(identity(row)) for row in planned.values()]
    # Files of before they were measured lack these, which is no reason to fit again.
    if all(row or metric in _LATER for row, (_, metric) in zip(told, planned)):
        return [row for row in told if row]
    try:
        fit_seconds = _fit(head, task)
        answers, scores, predict_seconds = _test(head, task.tests)
        if (_home(task), concept_rows.NAMED_SHARE) in planned:
            found = concept_rows.concept_scores(head, task, task.tests[_home(task)])
            scores |= {(_home(task), metric): value for metric, value in found.items()}
    except UserError as error:
        raise UserError(f"{method.label} on {task.dataset}, {task.shots} shots: {error}") from error
    scores |= {
        (_home(task), PARAMETERS): head.trainable_parameters,
        (_home(task), FIT): round(fit_seconds, 6),
        (_home(task), PREDICT): round(predict_seconds, 6),
    }
    seconds = round(fit_seconds + predict_seconds, 3)
    made = {
        what: known.get(identity(row))
        or replace(row, value=float(scores[what]), seconds=seconds, ties=_ties(answers, *what))
        for what, row in planned.items()
        if what in scores
    }
    if results is not None:
        for test, right in answers.items():  # before the rows: those in the file have theirs
            keep_answers(results.path, made[test, ACC], right, task.tests[test].labels)
        results.add([row for row in made.values() if identity(row) not in known])
    known.update({identity(row): row for row in made.values()})
    return list(made.values())


def _fit(head: Head, task: FewShotTask) -> float:
    """Fit a head to the support, with validation rows where there are any; return the seconds."""
    more: dict[str, Any] = {"projection": task.projection} if head.wants_projection else {}
    start = time.perf_counter()
    head.fit(task.support, task.labels, task.class_text, task.concept_text, task.val, **more)
    return time.perf_counter() - start


def _test(
    head: Head, tests: Mapping[str, TestSet]
) -> tuple[dict[str, Tensor], dict[tuple[str, str], float], float]:
    """Return which questions a fitted head answers rightly, its scores, and the seconds it took."""
    answers: dict[str, Tensor] = {}
    scores: dict[tuple[str, str], float] = {}
    seconds = 0.0
    for name, test in tests.items():
        labels = _place_among(test)
        start = time.perf_counter()
        logits = test_logits(head, test)
        seconds += time.perf_counter() - start
        answers[name] = correct_at(logits, labels)
        scores[name, ACC] = float(answers[name].mean())
        scores[name, RECALL] = mean_per_class_recall(logits, labels)
        if test.new_text is None:
            hot, left = head.certainty
            scores[name, ECE_BEFORE] = calibration_error(logits.softmax(1), labels)
            scores[name, ECE] = calibration_error(chances(logits, hot, left), labels)
    return answers, scores, seconds


def _ties(answers: Mapping[str, Tensor], test: str, metric: str) -> int | None:
    """Return how many answers of a test hang on equal logits, for the rows that are about them."""
    if metric not in (ACC, RECALL):
        return None
    return int(((answers[test] > 0) & (answers[test] < 1)).sum())


@torch.no_grad()
def test_logits(head: Head, test: TestSet) -> Tensor:
    """Return (n, C) logits of the classes that compete in a test."""
    blocks = []
    for features in test.features.split(_ROWS):
        if test.new_text is not None:
            blocks.append(head.new_logits(features, test.new_text))
        else:
            logits = head.logits(features)
            blocks.append(logits if test.candidates is None else logits[:, test.candidates])
    return torch.cat(blocks)


test_logits.__test__ = False  # type: ignore[attr-defined]  # not a test of pytest's


def _place_among(test: TestSet) -> Tensor:
    """Return the labels as places among the classes that compete."""
    if test.candidates is None or test.new_text is not None:
        return test.labels
    places = torch.full((int(test.candidates.max()) + 1,), -1)
    places[test.candidates] = torch.arange(len(test.candidates))
    fits = test.labels < len(places)
    labels = places[test.labels.where(fits, 0)].where(fits, -1)
    if bool((labels < 0).any()):
        raise UserError("a test picture is of a class that is not among the test's candidates")
    return labels


def _home(task: FewShotTask) -> str:
    """Return the test that stands for the task where a number is not of one test."""
    return next((name for name in (TEST, BASE) if name in task.tests), next(iter(task.tests)))


def _planned(
    task: FewShotTask, head: Head, label: str, source: TaskSource, most: bool
) -> dict[tuple[str, str], Result]:
    """Return the rows of a fit by test and metric, still without values."""
    protocol = protocol_text(
        task.val_mode,
        getattr(source, "views", 0),
        task.backbone,
        getattr(source, "templates", ()),
        val_from=getattr(source, "val_from", "val"),
        concepts=_concepts(task, head),
        selects=head.searches and task.val is not None,
    )
    planned: dict[tuple[str, str], Result] = {}

    def plan(test: str, metric: str, n: int, chance: float | None = None) -> None:
        place = Place(task.dataset, task.shots, test)
        training = task.tests[test].training if metric in (ACC, RECALL) else None
        planned[test, metric] = Result(
            benchmark=place.benchmark,
            task=place.task,
            metric=metric,
            value=0.0,
            n=n,
            chance=chance,
            seed=task.seed,
            protocol=protocol + (training.note if training else ""),
            model=label,
            version=task_version(head.version),
            account=training.account() if training else None,
        )

    for name, test in task.tests.items():
        for metric in (ACC, RECALL):
            plan(name, metric, len(test.labels), 1 / _competing(task, test))
        for metric in (ECE_BEFORE, ECE) if test.new_text is None else ():
            plan(name, metric, len(test.labels))
    home = task.tests[_home(task)]
    if most and concept_rows.can_ask(head, task, home):
        n, chance = len(concept_rows.asked(home)[1]), 1 / _competing(task, home)
        for metric in concept_rows.METRICS:
            plan(_home(task), metric, n, chance if concept_rows.is_accuracy(metric) else None)
    plan(_home(task), PARAMETERS, len(task.labels))
    plan(_home(task), FIT, len(task.labels))
    plan(_home(task), PREDICT, sum(len(test.labels) for test in task.tests.values()))
    return planned


def _concepts(task: FewShotTask, head: Head) -> int | None:
    if not head.wants_concepts or task.concept_text is None:
        return None
    return len(task.concept_text)


def _competing(task: FewShotTask, test: TestSet) -> int:
    for among in (test.new_text, test.candidates, task.class_text):
        if among is not None:
            return len(among)
    return int(task.labels.max()) + 1
