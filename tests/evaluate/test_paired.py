"""Two results files question by question."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from trifocal.cli import main
from trifocal.errors import UserError
from trifocal.evaluate.marks import keep_marks, marks_file, read_marks
from trifocal.evaluate.paired import compare_files, holm, sign_test
from trifocal.evaluate.records import append_results
from trifocal.metrics.result import Result
from trifocal.report.paired import paired_table


def row(right: list[float], **more: object) -> Result:
    marks = torch.tensor(right, dtype=torch.float64)
    facts = {"benchmark": "b", "task": "t", "metric": "acc", "model": "m", "asked": "same"} | more
    return Result(value=float(marks.mean()), n=len(right), marks=marks, **facts)  # type: ignore[arg-type]


def write(path, *rows: Result):
    append_results(path, rows)
    keep_marks(path, rows)
    return path


WORSE, BETTER = [0.0] * 60 + [1.0] * 40, [1.0] * 90 + [0.0] * 10


def test_a_difference_and_its_interval(tmp_path):
    one = write(tmp_path / "a.jsonl", row(WORSE), row(WORSE, task="u"))
    other = write(tmp_path / "b.jsonl", row(BETTER, model="x"), row(WORSE, task="u", model="x"))
    real, none = compare_files(one, other)
    assert real.difference is not None
    assert real.difference.value == pytest.approx(0.5)
    assert real.difference.low < 0.5 < real.difference.high
    assert real.real
    assert not none.real
    assert none.difference is not None
    assert none.difference.value == 0
    shown = paired_table([real, none])
    assert [entry.value for entry in shown.rows[1].entries][:4] == ["100", "40.0", "90.0", "+50.0"]
    assert shown.rows[2].entries[-1].value == "noise"


def test_a_few_questions_prove_nothing(tmp_path):
    one = write(tmp_path / "a.jsonl", row([0.0] * 3 + [1.0] * 20))
    other = write(tmp_path / "b.jsonl", row([1.0] * 23, model="x"))
    (found,) = compare_files(one, other)
    assert found.p == 0.25
    assert not found.real


def test_seven_of_eight_questions_may_be_luck(tmp_path):
    """The bootstrap alone says p = 0.03, where fair coins fall so in 7 % of all cases."""
    one = write(tmp_path / "a.jsonl", row([0.0] * 7 + [1.0] * 393))
    other = write(tmp_path / "b.jsonl", row([1.0] * 7 + [0.0] + [1.0] * 392, model="x"))
    (found,) = compare_files(one, other)
    assert found.p == pytest.approx(binomtest(7, 8).pvalue)
    assert not found.real


def test_a_file_without_rows_is_said(tmp_path):
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(UserError, match="holds no rows"):
        compare_files(write(tmp_path / "a.jsonl", row(WORSE)), tmp_path / "empty.jsonl")


@given(st.integers(0, 200), st.integers(0, 200))
def test_the_sign_test_equals_scipys(better, worse):
    if better + worse:
        assert sign_test(better, worse) == pytest.approx(binomtest(better, better + worse).pvalue)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"asked": "others"}, "other questions"),
        ({"version": "2@0"}, "other version"),
        ({"chance": 0.5}, "other questions"),
    ],
)
def test_what_cannot_be_compared_says_why(tmp_path, change, why):
    one = write(tmp_path / "a.jsonl", row(WORSE, version="1@0"))
    other = write(tmp_path / "b.jsonl", row(BETTER, **{"version": "1@0", **change}))
    (found,) = compare_files(one, other)
    assert found.difference is None
    assert found.why == why
    assert "+50.0" in [entry.value for entry in paired_table([found]).rows[1].entries]


def test_marks_of_another_measurement_are_not_used(tmp_path):
    path = write(tmp_path / "a.jsonl", row(WORSE))
    assert read_marks(path, row(WORSE)) is not None
    assert read_marks(path, row(BETTER)) is None
    marks_file(path, row(WORSE)).write_bytes(b"broken")
    assert read_marks(path, row(WORSE)) is None
    (found,) = compare_files(path, path)
    assert found.why == "answers not kept"


def test_a_file_that_holds_the_base_too(tmp_path):
    base = write(tmp_path / "base.jsonl", row(WORSE))
    both = write(tmp_path / "both.jsonl", row(WORSE), row(BETTER, model="x"))
    (found,) = compare_files(base, both)
    assert (found.before.model, found.after.model) == ("m", "x")


def test_models_of_one_file(tmp_path):
    path = write(tmp_path / "a.jsonl", row(WORSE), row(BETTER, model="x"))
    (found,) = compare_files(path, path)
    assert (found.before.model, found.after.model) == ("m", "x")
    (found,) = compare_files(path, path, ("x", "m"))
    assert found.difference is not None
    assert found.difference.value < 0
    other = write(tmp_path / "b.jsonl", row(WORSE, model="y"))
    with pytest.raises(UserError, match="several models; name one of m, x"):
        compare_files(path, other)
    with pytest.raises(UserError, match="no model 'z'"):
        compare_files(other, path, (None, "z"))
    strange = write(tmp_path / "c.jsonl", replace(row(WORSE), task="else"))
    with pytest.raises(UserError, match="no measure in common"):
        compare_files(other, strange)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_equals_its_definition(p):
    found = holm(p)
    order = sorted(range(len(p)), key=lambda i: p[i])
    for place, number in enumerate(order):
        steps = [(len(p) - k) * p[order[k]] for k in range(place + 1)]
        assert found[number] == pytest.approx(min(1.0, max(steps)))


def test_the_command(tmp_path, capsys):
    one = str(write(tmp_path / "a.jsonl", row(WORSE)))
    other = str(write(tmp_path / "b.jsonl", row(BETTER, model="x")))
    assert main(["compare", one, other, "--table", str(tmp_path / "t.tex")]) == 0
    assert "+50.0" in capsys.readouterr().out
    assert r"\toprule" in (tmp_path / "t.tex").read_text()
    page = tmp_path / "page.html"
    assert main(["compare", one, other, "--json", "--html", str(page)]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["difference"]["value"] == pytest.approx(0.5)
    assert found["more_than_noise"]
    assert "What was found" in page.read_text()
    for words, said in ((["--models", "m"], "two names"), (["--table", "t.csv"], ".md or .tex")):
        assert main(["compare", one, other, *words]) == 2
        assert said in capsys.readouterr().err
