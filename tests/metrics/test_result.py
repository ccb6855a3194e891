"""The result row."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from trifocal import __version__
from trifocal.errors import UserError
from trifocal.metrics.benchmark import Missing, Sheet, find, require
from trifocal.metrics.result import Result, model_name, task_version


def row(**changes) -> Result:
    return Result(
        **{"benchmark": "b", "task": "t", "metric": "acc1", "value": 0.5, "n": 8} | changes
    )


def test_fields_are_those_of_the_contract():
    assert set(row().as_dict()) == {
        "benchmark",
        "task",
        "metric",
        "value",
        "n",
        "chance",
        "seed",
        "protocol",
        "model",
        "seconds",
        "version",
    }


def test_version_names_task_and_toolkit():
    assert task_version(3) == f"3@{__version__}"


def test_fractions_are_shown_in_percent_and_ranks_as_they_are():
    assert row(value=0.6173).shown() == "61.7"
    assert row(metric="im2txt", value=12.345).shown() == "12.35"
    assert row(value=-0.027).shown() == "−2.7"


def test_gain_is_positive_when_better():
    assert row(value=0.6).gain_over(row(value=0.5)) == pytest.approx(10)
    better, worse = row(metric="im2txt", value=3.0), row(metric="im2txt", value=5.0)
    assert better.gain_over(worse) == pytest.approx(2)


def test_costs_are_amounts_and_less_is_better():
    slow, fast = row(metric="fit_seconds", value=3.5), row(metric="fit_seconds", value=0.5)
    assert slow.shown() == "3.50"
    assert fast.gain_over(slow) == pytest.approx(3)
    assert row(metric="trainable_parameters", value=20000).is_rank


def test_model_names():
    assert model_name(SimpleNamespace(name="ViT-B-32:openai")) == "ViT-B-32:openai"
    assert model_name(SimpleNamespace(clip=SimpleNamespace(name="inner"))) == "inner"
    assert model_name(SimpleNamespace()) == "SimpleNamespace"


def test_sheet_shares_what_is_common_and_times_all_rows_alike():
    sheet = Sheet("bench", "model", "how", seed=4, version=2)
    sheet.add("a", "acc", 0.25, 4, 0.5)
    sheet.add("b", "acc", 1, 2)
    first, second = sheet.done()
    assert (first.benchmark, first.model, first.protocol, first.seed) == (
        "bench",
        "model",
        "how",
        4,
    )
    assert first.version == second.version == task_version(2)
    assert first.seconds == second.seconds >= 0
    assert isinstance(second.value, float)


def test_find():
    rows = [row(), row(task="other", value=0.7)]
    assert find(rows, "b", "other", "acc1").value == 0.7
    with pytest.raises(UserError, match="no result row for b, other, acc5"):
        find(rows, "b", "other", "acc5")


def test_require_says_what_is_missing_and_where_to_get_it():
    require([], "bench")
    missing = [Missing("x/a.json", "get it there"), Missing("x/1.jpg", "unpack it", 40)]
    with pytest.raises(UserError) as caught:
        require(missing, "bench")
    assert str(caught.value) == (
        "bench cannot run; x/a.json is missing: get it there; "
        "x/1.jpg and 39 more are missing: unpack it"
    )


def test_files_with_one_remedy_are_named_together():
    missing = [Missing(f"{name}.json", "get them") for name in "abcdefg"]
    with pytest.raises(UserError) as caught:
        require(missing, "bench")
    assert str(caught.value) == (
        "bench cannot run; a.json, b.json and 5 more are missing: get them"
    )
    with pytest.raises(UserError, match=r"a\.json, b\.json are missing: get them"):
        require(missing[:2], "bench")
