"""What the tour says of methods: how they differ at equal cost, not how far each is from the base."""

from __future__ import annotations

import pytest

from tests.evaluate.test_price import curve
from trifocal.report.composition_tour import PRICE, overview, tour_chapter
from trifocal.report.contender import Contender
from trifocal.report.equal_cost import EqualCost
from trifocal.report.page import Highlights, Note, Plots
from trifocal.report.table import Table

BASE = (0.5, 0.9)


@pytest.fixture(scope="module")
def contenders() -> list[Contender]:
    base = Contender("base", [list(curve(BASE)[0].rows)])
    ends = {"NegCLIP": (0.6, 0.7), "FSC-CLIP": (0.8, 0.7)}
    curves = {label: curve(BASE, end) for label, end in ends.items()}
    return [
        base,
        *(Contender(label, [list(c[-1].rows)], curves=[c]) for label, c in curves.items()),
    ]


def test_the_chapter_speaks_of_differences(contenders) -> None:
    equal = EqualCost(contenders)
    chapter = tour_chapter(contenders, equal, [])
    numbers = next(block for block in chapter.blocks if isinstance(block, Highlights))
    assert [item.label for item in numbers.items] == ["FSC-CLIP − NegCLIP, composition"]
    assert f"at a price of {100 * PRICE:g} points" in numbers.items[0].detail
    assert "FSC-CLIP is ahead of NegCLIP" in chapter.found[1]
    note = next(block for block in chapter.blocks if isinstance(block, Note))
    assert "within noise" in note.text
    assert any(isinstance(block, Plots) for block in chapter.blocks)


def test_the_terminal_has_the_ends_and_the_table_at_equal_cost(contenders) -> None:
    tables = overview(contenders, EqualCost(contenders))
    assert all(isinstance(table, Table) for table in tables)
    assert tables[1].title == "At equal cost"
