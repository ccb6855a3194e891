"""Results side by side."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from trifocal.metrics.result import Result
from trifocal.report.comparison import compare, comparison_table
from trifocal.report.terminal import terminal_table


def row(model: str, value: float, task: str = "swap", n: int = 100, metric: str = "acc") -> Result:
    return Result("bench", task, metric, value, n, 0.5, model=model)


def shown(rows, **options) -> str:
    stream = io.StringIO()
    Console(file=stream, width=120).print(terminal_table(comparison_table(rows, **options)))
    return stream.getvalue()


def test_differences_are_against_the_first_model():
    table = compare([row("base", 0.5), row("tuned", 0.8), row("worse", 0.47)])
    cells = table[("bench", "swap", "acc")]
    assert cells["base"].gain is None
    assert cells["tuned"].gain == pytest.approx(30)
    assert cells["tuned"].beyond_noise
    assert cells["worse"].gain == pytest.approx(-3)
    assert not cells["worse"].beyond_noise  # 3 of 100 questions are noise


def test_another_reference_can_be_named():
    cells = compare([row("a", 0.5), row("b", 0.8)], "b")[("bench", "swap", "acc")]
    assert cells["b"].gain is None
    assert cells["a"].gain == pytest.approx(-30)


def test_runs_of_one_model_are_averaged():
    cells = compare([row("base", 0.5), row("m", 0.6), row("m", 0.7), row("m", 0.8)])
    cell = cells[("bench", "swap", "acc")]["m"]
    assert cell.row.value == pytest.approx(0.7)
    assert cell.runs == 3
    assert cell.interval.half == pytest.approx(4.303 * 0.1 / 3**0.5, rel=1e-3)


def test_measures_that_a_model_lacks_are_dashes():
    text = shown([row("a", 0.5), row("a", 0.6, "add"), row("b", 0.7)])
    assert "–" in text.splitlines()[-1]


def test_the_terminal_table_names_everything():
    text = shown([row("a[b]", 0.5), row("tuned", 0.8)], title="Side by side")
    for word in ("Side by side", "bench", "swap", "100", "50.0", "a[b]", "80.0 +30.0"):
        assert word in text


def test_mean_ranks_gain_by_falling():
    rows = [row("a", 12.0, metric="im2txt"), row("b", 7.5, metric="im2txt")]
    cell = compare(rows)[("bench", "swap", "im2txt")]["b"]
    assert cell.gain == pytest.approx(4.5)
    assert "7.50" in shown(rows)
