"""The chapter on regions: every model and measure is in it, pictures too."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from trifocal.clip import load_clip
from trifocal.data.regions import Region
from trifocal.evaluate.benchmarks.world_regions import WorldRegions
from trifocal.metrics.result import Result
from trifocal.report.contender import Contender
from trifocal.report.page import Rankings, Report, render
from trifocal.report.regions import ShownRegion, measures_table, region_chapter
from trifocal.report.table import Table
from trifocal.world import MEANINGS, abduction_items, draw, inference_wordings


@pytest.fixture(scope="module")
def rows() -> list[Result]:
    bench = WorldRegions(scenes=20, auto=False)
    return bench.score(load_clip("builtin"), bench.items())


def test_it_shows_numbers_and_pictures(rows: list[Result]) -> None:
    bank = [inference_wordings(*meaning)[0] for meaning in MEANINGS]
    item = abduction_items(1)[0]
    picture = draw(item.scene.scene, 96)
    region = Region(picture, item.region_item(picture).region.boxes)
    right = inference_wordings(*item.instance.meaning)[0]
    shown = [ShownRegion(region, f"so it is: {right}", frozenset({right}))]
    clip = load_clip("builtin")
    better = [replace(row, value=2.0) if row.metric == "im2txt" else row for row in rows]
    contenders = [Contender("base", [rows], clip), Contender("tuned <b>", [better], clip)]
    chapter = region_chapter(
        contenders, lead="what", trained={"tuned <b>": 123_400}, shown=shown, bank=bank
    )
    table = next(block for block in chapter.blocks if isinstance(block, Table))
    assert [row.label for row in table.rows] == ["base", "tuned <b>", "chance"]
    assert table.rows[1].entries[0].value == "2.00"
    assert table.rows[1].entries[-1].value == "123 K"
    assert table.rows[2].entries[0].value == "24.50"
    ranked = next(block for block in chapter.blocks if isinstance(block, Rankings))
    answers = ranked.items[0].answers
    assert [label for label, _, _ in answers] == ["base", "tuned <b>"]
    scores = [each.score for each in answers[0][1]]
    assert scores == sorted(scores, reverse=True)
    assert {each.text for each in answers[0][1]} <= set(bank)
    page = render(Report("t", "s", [chapter]))
    assert "tuned &lt;b&gt;" in page
    assert "tuned <b>" not in page
    assert len(re.findall("<img", page)) == 3  # the picture, and where either model looks


def test_what_it_costs_stands_beside_what_it_gains(rows: list[Result]) -> None:
    def whole(value: float) -> list[Result]:
        return [
            replace(rows[0], benchmark="world/kinds", task="zeroshot_classification", metric="acc1",
                    value=value, n=500)
        ]  # fmt: skip

    contenders = [
        Contender("base", [[*rows, *whole(0.9)]]),
        Contender("worse", [[*rows, *whole(0.5)]]),
    ]
    table = measures_table(contenders, {})
    place = [column.label for column in table.columns].index("zero-shot")
    assert table.columns[place].group.startswith("cost")
    assert table.rows[0].entries[place].value == "90.0"
    assert table.rows[1].entries[place].change == "−40.0"
    assert table.rows[1].entries[place].tone == "cost"
