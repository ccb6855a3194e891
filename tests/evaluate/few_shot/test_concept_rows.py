"""Rows of how much concepts decide: of which heads, at which shots, and what they say."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.evaluate.few_shot.fakes import CLASSES, HEADS, ROWS, Source
from trifocal.concepts.ccli import CCLI
from trifocal.concepts.concept_map import ConceptMap
from trifocal.concepts.summands import summands
from trifocal.concepts.tasks.task import TestSet
from trifocal.evaluate.few_shot import concept_rows
from trifocal.evaluate.few_shot.concept_rows import METRICS, NAMED_SHARE, RIGHT_WITH, RIGHT_WITHOUT
from trifocal.evaluate.few_shot.methods import few_shot_methods
from trifocal.evaluate.few_shot.run import run_few_shot
from trifocal.evaluate.records import append_results, read_results
from trifocal.metrics.accuracy import accuracy
from trifocal.metrics.result import Result

OWN = {
    "concept-map": ConceptMap,
    "raw": lambda: ConceptMap(visual="raw"),
    "ccli-tf": lambda: CCLI(head="tf"),
    **HEADS,
}


def of_concepts(rows: list[Result]) -> list[Result]:
    return [row for row in rows if row.metric in METRICS]


def run_own(file: Path) -> list[Result]:
    methods = few_shot_methods(OWN, OWN)
    sources = [Source(domains=("sketch",))]
    return run_few_shot(sources, methods, (1, 4), (1, 2), "none", results=file)


def test_heads_with_concepts_have_rows_at_the_most_shots(tmp_path) -> None:
    file = tmp_path / "r.jsonl"
    rows = run_own(file)
    found = of_concepts(rows)
    assert {row.task for row in found} == {"4-shot"}
    assert {row.model for row in found} == {"concept-map", "ccli-tf"}
    assert len(found) == 2 * 2 * len(METRICS)
    assert {row.n for row in found} == {CLASSES * ROWS}
    assert {row.metric.partition("_")[0] for row in found if row.chance} == {"acc"}
    # They are in the file, which goes on without fitting again, with them or without.
    assert read_results(file) == rows
    older = [row for row in rows if row.metric not in METRICS]
    file.unlink()
    append_results(file, older)
    again = run_own(file)
    assert again == older


def test_with_all_and_without_none_it_is_the_head() -> None:
    rows = run_few_shot([Source()], few_shot_methods(["ccli-tf"], OWN), (4,), (1,), "none")
    values = {row.metric: row.value for row in rows}
    assert values[RIGHT_WITHOUT.metric(0)] == pytest.approx(values["acc1"])
    # Six concepts are all there are, and nothing is left of a training-free head but its texts.
    assert values[RIGHT_WITH.metric(8)] == pytest.approx(values["acc1"])
    assert values[RIGHT_WITH.metric(0)] == values[RIGHT_WITHOUT.metric(8)]
    task = Source().task(4, 1, "none")
    head = CCLI(head="tf", seed=1)
    head.fit(task.support, task.labels, task.class_text, task.concept_text)
    parts = summands(head, task.tests["test"].features)
    assert parts is not None
    assert values[RIGHT_WITH.metric(0)] == accuracy(parts.base, task.tests["test"].labels)
    assert 0 <= values[NAMED_SHARE] <= 1


def test_many_pictures_are_asked_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(concept_rows, "MOST", 7)
    features, labels = concept_rows.asked(TestSet(torch.rand(50, 3), torch.arange(50)))
    assert labels.tolist() == [0, 8, 16, 24, 32, 40, 48]
    assert len(features) == 7


def test_other_classes_are_not_asked_about() -> None:
    rows = run_few_shot(
        [Source(base_to_new=True)], few_shot_methods(["concept-map"], OWN), (4,), (1,), "none"
    )
    assert {row.task for row in of_concepts(rows)} == {"4-shot base"}
