"""Answers are kept and found again, and differences are paired."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.evaluate.few_shot.fakes import HEADS, Source, row
from trifocal.evaluate.few_shot.methods import few_shot_methods
from trifocal.evaluate.few_shot.pairs import Answers, keep_answers, paired_over_strata
from trifocal.evaluate.few_shot.rows import Place, told_apart
from trifocal.evaluate.few_shot.run import run_few_shot
from trifocal.metrics.intervals import paired_bootstrap

PLACE = Place("clouds", 1)
LABELS = torch.arange(6)


def kept(file, *cases) -> Answers:
    """Return the answers of (row, right, labels)."""
    for one, right, labels in cases:
        keep_answers(file, one, torch.as_tensor(right, dtype=torch.float64), labels)
    return Answers(told_apart(one for one, _, _ in cases), [file])


def test_a_run_keeps_the_answers_of_every_row(tmp_path):
    file = tmp_path / "r.jsonl"
    rows = run_few_shot(
        [Source(domains=("x",))], few_shot_methods(HEADS, HEADS), (1, 2), (1, 2), results=file
    )
    measured = told_apart(rows)
    answers = Answers(measured, [file])
    for one in measured:
        if one.row.metric == "acc1":
            right, labels = answers.marks(one.method, one.place)[one.row.seed]
            assert right.mean() == pytest.approx(one.row.value)
            assert len(labels) == one.row.n
    assert len(list((tmp_path / "r.answers").iterdir())) == 2 * 2 * 2 * 2
    assert answers.difference("mean", "zero-shot", ["clouds"], [1, 2], "test") is not None


def test_ties_are_kept_as_shares(tmp_path):
    answers = kept(tmp_path / "r", (row("a", 0.5), [1, 0.5, 0.25, 1 / 3, 0, 1], LABELS))
    right, _ = answers.marks("a", PLACE)[1]
    assert right == pytest.approx([1, 0.5, 0.25, 1 / 3, 0, 1], abs=1e-3)


def test_a_question_is_averaged_over_seeds(tmp_path):
    answers = kept(
        tmp_path / "r",
        (row("a", 0, seed=1), [1, 1, 0, 0, 1, 1], LABELS),
        (row("a", 0, seed=2), [1, 0, 0, 0, 1, 1], LABELS),
        (row("b", 0, seed=1), [0, 0, 0, 0, 1, 1], LABELS),
        (row("b", 0, seed=2), [0, 0, 0, 0, 1, 1], LABELS),
    )
    difference = answers.difference("a", "b", ["clouds"], [1], "test")
    expected = paired_over_strata([np.array([1, 0.5, 0, 0, 0, 0])])
    assert difference == expected
    assert difference.value == 0.25


@pytest.mark.parametrize(
    "other",
    [
        [],  # not kept
        [(row("b", 0), [0] * 6, LABELS.flip(0))],  # other questions
        [(row("b", 0), [0] * 5, LABELS[:5])],
        [(row("b", 0, seed=2), [0] * 6, LABELS)],  # another draw
    ],
)
def test_only_the_same_questions_are_compared(tmp_path, other):
    answers = kept(tmp_path / "r", (row("a", 0), [1] * 6, LABELS), *other)
    assert answers.difference("a", "b", ["clouds"], [1], "test") is None


def test_answers_of_another_file_are_found_too(tmp_path):
    first, second = tmp_path / "1.jsonl", tmp_path / "2.jsonl"
    keep_answers(first, row("a", 1), torch.ones(6), LABELS)
    keep_answers(second, row("b", 0), torch.zeros(6), LABELS)
    measured = told_apart([row("a", 1), row("b", 0)])
    difference = Answers(measured, [first, second]).difference("a", "b", ["clouds"], [1], "test")
    assert difference is not None
    assert difference.value == 1
    assert Answers(measured, []).difference("a", "b", ["clouds"], [1], "test") is None


def test_names_do_not_collide(tmp_path):
    one = row("a/b", 0)
    paths = {
        keep_answers(tmp_path / "r", other, torch.ones(6), LABELS)
        for other in (one, one.of("a_b"), replace(one, protocol="x"), replace(one, version="2@1"))
    }
    assert len(paths) == 4


def test_a_damaged_file_is_no_answer(tmp_path):
    path = keep_answers(tmp_path / "r", row("a", 1), torch.ones(6), LABELS)
    path.write_bytes(b"no")
    assert Answers(told_apart([row("a", 1)]), [tmp_path / "r"]).marks("a", PLACE) == {}


def test_one_stratum_agrees_with_the_plain_bootstrap():
    rng = np.random.default_rng(0)
    hard = rng.random(1500)
    before, after = (hard < 0.50).astype(float), (hard < 0.54).astype(float)
    plain = paired_bootstrap(after, before, samples=8000)
    ours = paired_over_strata([after - before], samples=8000)
    assert ours.value == pytest.approx(plain.value)
    assert ours.low == pytest.approx(plain.low, abs=1e-3)
    assert ours.high == pytest.approx(plain.high, abs=1e-3)
    assert ours.p < 0.01


def test_strata_count_the_same_however_many_questions_they_have():
    rng = np.random.default_rng(0)
    small, large = rng.choice([0.0, 1.0], 50), rng.choice([-1.0, 0.0], 5000)
    ours = paired_over_strata([small, large], samples=8000)
    assert ours.value == pytest.approx((small.mean() + large.mean()) / 2)
    spread = np.hypot(small.std() / 50**0.5, large.std() / 5000**0.5) / 2
    assert ours.half == pytest.approx(1.96 * spread, rel=0.06)


def test_no_difference_is_none():
    same = paired_over_strata([np.zeros(40)])
    assert (same.value, same.low, same.high, same.p) == (0, 0, 0, 1)
