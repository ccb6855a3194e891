"""Means and intervals of few-shot results against counting by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from tests.evaluate.few_shot.fakes import row
from trifocal.errors import UserError
from trifocal.evaluate.few_shot.rows import told_apart
from trifocal.evaluate.few_shot.summary import Summary, reference_of
from trifocal.metrics.intervals import wilson


def summary(*rows) -> Summary:
    return Summary(told_apart(rows))


def test_over_seeds():
    found = summary(*(row("a", v, seed=s) for s, v in ((1, 0.5), (2, 0.6), (3, 0.7))))
    cell = found.mean("a", ["clouds"], [1])
    assert cell.value == pytest.approx(0.6)
    assert cell.half == pytest.approx(stats.t.ppf(0.975, 2) * 0.1 / 3**0.5)
    assert found.seeds() == 3


def test_one_draw_has_the_interval_of_its_questions():
    assert summary(row("a", 0.7, seed=None)).mean("a", ["clouds"], [1]) == wilson(0.7, 100)


def test_an_average_over_data_sets_is_taken_within_each_seed():
    x, y = {1: 0.5, 2: 0.6, 3: 0.7}, {1: 0.9, 2: 0.8, 3: 0.7}  # what one gains the other loses
    rows = [
        row("a", v, dataset=d, seed=s) for d, each in (("x", x), ("y", y)) for s, v in each.items()
    ]
    cell = summary(*rows).mean("a", ["x", "y"], [1])
    assert cell.value == pytest.approx(0.7)
    assert cell.half == pytest.approx(0, abs=1e-9)


def test_single_draws_of_several_data_sets_add_in_quadrature():
    rows = [row("a", 0.5, dataset="x", seed=None), row("a", 0.9, dataset="y", seed=None)]
    cell = summary(*rows).mean("a", ["x", "y"], [1])
    assert cell.value == pytest.approx(0.7)
    assert cell.half == pytest.approx(np.hypot(wilson(0.5, 100).half, wilson(0.9, 100).half) / 2)


def test_shots_on_the_same_questions_do_not_add_in_quadrature():
    rows = [row("a", 0.5, 1, seed=None), row("a", 0.5, 2, seed=None)]
    assert summary(*rows).mean("a", ["clouds"], [1, 2]).half == pytest.approx(wilson(0.5, 100).half)


def test_no_average_of_different_things():
    found = summary(
        row("a", 0.5, dataset="x"), row("b", 0.6, dataset="x"), row("b", 0.7, dataset="y")
    )
    assert found.mean("a", ["x", "y"], [1]) is None
    assert found.mean("b", ["x", "y"], [1]).value == pytest.approx(0.65)
    assert found.mean("b", ["x"], [1, 2]) is None
    assert found.mean("b", [], [1]) is None


def test_base_to_new_in_both_orders():
    numbers = {"x": (0.8, 0.6), "y": (0.9, 0.3)}
    rows = [
        row("a", value, 16, name, test=test)
        for name, pair in numbers.items()
        for test, value in zip(("base", "new"), pair)
    ]
    found = summary(*rows)
    assert found.having("base", "new") == ["x", "y"]
    assert found.having("test") == []
    whole = found.base_to_new("a", ["x", "y"], 16)
    assert whole.h_of_averages == pytest.approx(2 * 0.85 * 0.45 / 1.3)
    assert whole.average_of_h == pytest.approx((2 * 0.48 / 1.4 + 2 * 0.27 / 1.2) / 2)
    assert found.base_to_new("a", ["x"], 4) is None
    assert found.most_shots("base") == 16


def test_costs():
    rows = [
        row("a", 20000, dataset="x", metric="trainable_parameters"),
        row("a", 500, dataset="y", metric="trainable_parameters"),
        *(row("a", v, dataset="x", metric="fit_seconds", seed=s) for s, v in ((1, 2.0), (2, 4.0))),
        row("a", 1.0, dataset="y", metric="fit_seconds"),
        row("a", 0.5, dataset="x", metric="predict_seconds", n=250),
    ]
    costs = summary(*rows).costs("a", 1)
    assert costs.parameters == (500, 20000)
    assert costs.fit == 2.0
    assert costs.predict == 2.0
    assert summary(*rows).costs("a", 2) is None


def test_domains_are_the_other_tests():
    rows = [row("a", 0.5, test=test) for test in ("test", "base", "new", "sketch", "v2")]
    assert summary(*rows).domains("clouds") == ["sketch", "v2"]


@pytest.mark.parametrize(
    ("methods", "wished", "reference"),
    [
        (["a", "concept-map"], None, "concept-map"),
        (["a", "concept-map (val: few)"], None, "concept-map (val: few)"),
        (["a", "concept-map(top=4)", "b"], None, "concept-map(top=4)"),
        (["a", "b"], None, "a"),
        (["a", "concept-map", "b"], "b", "b"),
    ],
)
def test_reference(methods, wished, reference):
    assert reference_of(methods, wished) == reference


def test_a_reference_that_is_not_there():
    with pytest.raises(UserError, match=r"'tip'.*Did you mean 'tipp'.*tipp, b"):
        reference_of(["tipp", "b"], "tip")
