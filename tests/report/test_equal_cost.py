"""The table and the large numbers of methods at equal cost."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.evaluate.test_price import curve
from trifocal.evaluate.curve import CurvePoint
from trifocal.report.contender import Contender
from trifocal.report.equal_cost import (
    EqualCost,
    equal_cost_blocks,
    equal_cost_found,
    equal_cost_highlights,
    resolution,
)
from trifocal.report.page import Highlights
from trifocal.report.table import Table

BASE = (0.5, 0.9)


def contender(label: str, *ends: tuple[float, float]) -> Contender:
    curves = [curve(BASE, end) for end in ends]
    return Contender(label, [list(each[-1].rows) for each in curves], curves=curves)


@pytest.fixture
def contenders() -> list[Contender]:
    base = Contender("base", [list(curve(BASE)[0].rows)])
    return [base, contender("weak", (0.56, 0.7)), contender("strong", (0.8, 0.7))]


def test_the_table_reads_each_curve_where_it_costs_as_much(contenders) -> None:
    (table,) = equal_cost_blocks(EqualCost(contenders))
    assert isinstance(table, Table)
    assert [column.label for column in table.columns] == [f"at −{p} points" for p in (1, 2, 4)]
    weak, strong = table.rows
    assert [entry.value for entry in weak.entries] == ["50.3", "50.6", "51.2"]
    assert [entry.value for entry in strong.entries] == ["51.5", "53.0", "56.0"]
    assert [entry.change.split()[0] for entry in weak.entries] == ["−1.2", "−2.4", "−4.8"]
    assert {entry.change for entry in strong.entries} == {""}
    assert weak.entries[2].tone == "cost"
    assert " to −" in weak.entries[2].change


def test_the_large_numbers_are_differences(contenders) -> None:
    shown = equal_cost_highlights(EqualCost(contenders), 0.04)
    assert isinstance(shown, Highlights)
    (item,) = shown.items
    assert (item.label, item.value) == ("strong − weak, composition", "+4.8 points")
    assert item.tone == "gain"
    assert "at a price of 4 points" in item.detail


def test_a_difference_within_noise_is_not_colored() -> None:
    pair = [contender("one", (0.60, 0.7)), contender("other", (0.61, 0.7))]
    pair[1] = replace(pair[1], curves=[[_reversed(point) for point in pair[1].curves[0]]])
    (item,) = equal_cost_highlights(EqualCost(pair), 0.04).items
    assert item.tone == ""


def _reversed(point: CurvePoint) -> CurvePoint:
    """Return the point with as many right answers, to other questions."""
    assert all(row.marks is not None for row in point.rows)
    rows = tuple(
        replace(row, marks=row.marks.flip(0)) for row in point.rows if row.marks is not None
    )
    return replace(point, rows=rows)


def test_one_curve_is_compared_with_nothing(contenders) -> None:
    assert equal_cost_blocks(EqualCost(contenders[:2])) == []


def test_a_curve_that_does_not_begin_at_the_base_is_no_method(contenders) -> None:
    base, weak, strong = contenders
    late = [[replace(point, alpha=point.alpha + 0.5) for point in weak.curves[0]]]
    assert equal_cost_blocks(EqualCost([base, replace(weak, curves=late), strong])) == []


def test_what_was_found_names_who_is_ahead(contenders) -> None:
    first, second = equal_cost_found(EqualCost(contenders), 0.04)
    assert "lost 4 points" in first
    assert "weak: 51.2" in first
    assert "strong: 56.0" in first
    assert second.startswith("There strong is ahead of weak (+4.8 points, 95 % interval ")
    base, weak, strong = contenders
    assert (
        "There weak is behind strong" in equal_cost_found(EqualCost([base, strong, weak]), 0.04)[1]
    )
    same = equal_cost_found(EqualCost([base, weak, replace(weak, label="as weak")]), 0.04)
    assert same[1].startswith("There as weak is not told apart from weak (±0.0 points")


def test_what_can_be_seen_is_said(contenders) -> None:
    base, weak, strong = contenders
    said = resolution(EqualCost(contenders), 0.04)
    assert "one run of each method and 1,000 questions" in said
    assert "--seeds 3" in said
    more = [base, *(replace(one, curves=[*one.curves, *one.curves]) for one in (weak, strong))]
    assert "2 runs of each method" in resolution(EqualCost(more), 0.04)
