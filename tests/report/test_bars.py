"""Bars of the parts of benchmarks."""

from __future__ import annotations

import re

from trifocal.metrics.result import Result
from trifocal.report.bars import MOST, bars_blocks
from trifocal.report.page import Chapter, Plots, Report, render


def row(task: str, metric: str = "acc", value: float = 0.5, **more) -> Result:
    return Result("valse", task, metric, value, 40, 0.5, **{"model": "a", "blind": 0.4, **more})


def test_each_benchmark_of_composition_has_its_parts_chance_and_blind():
    rows = [row(task, model=model) for task in ("x", "y", "z") for model in ("a", "b")]
    rows += [row("all", "acc_micro"), row("x", "acc_ties_right")]
    rows += [Result("pets", "zeroshot_classification", "acc1", 0.5, 9, model="a")]
    (block,) = bars_blocks(rows, ["a", "b"])
    assert isinstance(block, Plots)
    assert block.title == "valse, part by part"
    assert [one.summary.split(" of ")[1].split(";")[0] for one in block.plots] == [
        "x, y, z",
        "all",
    ]
    first, second = block.plots
    for word in ("chance", "blind", ">a<", ">b<"):
        assert word in first.figure
    assert not re.findall(r">b<", second.figure)  # has no such row, and no name in the legend
    assert block.beside is not None
    assert [column.label for column in block.beside.columns] == ["n", "chance", "blind", "a", "b"]
    assert [entry.value for entry in block.beside.rows[0].entries] == [
        "40",
        "50.0",
        "40.0",
        "50.0",
        "50.0",
    ]
    assert "x" in render(Report("t", "s", [Chapter("c", "l", [block])]))


def test_many_models_are_in_the_table_alone():
    models = [f"m{number}" for number in range(MOST + 2)]
    (block,) = bars_blocks([row(task, model=model) for task in "xyz" for model in models], models)
    assert f"Bars of {MOST} of {MOST + 2} models" in block.caption
    assert ">m1<" not in block.plots[0].figure
    assert len(block.beside.columns) == 3 + len(models)


def test_what_a_model_was_not_asked_has_no_bar():
    rows = [row("x"), row("y"), row("z", model="b")]
    (block,) = bars_blocks(rows, ["a", "b"])
    assert [entry.value for entry in block.beside.rows[2].entries][3:] == ["–", "50.0"]


def test_no_bars_of_a_single_number_or_of_places():
    assert bars_blocks([row("x")], ["a"]) == []
    assert bars_blocks([row("x", "mean_rank", 3.0), row("y", "mean_rank", 2.0)], ["a"]) == []
