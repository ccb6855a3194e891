"""What a report says of how much concepts decide."""

from __future__ import annotations

from tests.evaluate.few_shot.fakes import Source, row
from tests.evaluate.few_shot.test_concept_rows import OWN
from trifocal.concepts.curves import STEPS
from trifocal.evaluate.few_shot.methods import few_shot_methods
from trifocal.evaluate.few_shot.rows import told_apart
from trifocal.evaluate.few_shot.run import run_few_shot
from trifocal.evaluate.few_shot.summary import Summary
from trifocal.report.concept_curves import concept_blocks, concept_tables
from trifocal.report.page import Chapter, Plots, Report, render
from trifocal.report.terminal import terminal_table


def measured() -> Summary:
    sources = [Source("a"), Source("b", 0.5)]
    return Summary(told_apart(run_few_shot(sources, few_shot_methods(OWN, OWN), (1, 4), (1, 2))))


def test_tables_have_the_heads_with_concepts(capsys) -> None:
    from rich.console import Console

    found = measured()
    right, margins = concept_tables(found, ["a", "b"])
    assert [one.label for one in right.rows] == ["concept-map", "ccli-tf"]
    assert [one.label for one in margins.rows] == ["concept-map", "ccli-tf"]
    assert len(right.columns) == len(right.rows[0].entries) == len(STEPS) + 2
    values = [float(entry.value) for entry in right.rows[0].entries]
    assert all(0 <= value <= 100 for value in values)
    runs = found.runs("concept-map", found.measured[0].place, "acc1")
    assert runs  # of one shot, where nothing is asked of concepts
    for table in (right, margins):
        Console(width=80).print(terminal_table(table))
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


def test_blocks_are_drawn_for_the_reference_or_for_whoever_has_concepts() -> None:
    found = measured()
    for reference, shown in (("ccli-tf", "ccli-tf"), ("mean", "concept-map")):
        blocks = concept_blocks(found, ["a"], reference)
        assert isinstance(blocks[0], Plots)
        assert f"Margin of {shown}" in blocks[0].plots[1].summary
        html = render(Report("t", "s", [Chapter("c", "l", blocks)], []))
        assert "How accurate with k concepts?" in html
    assert blocks[0].plots[1].summary.count("with alone") == 2


def test_without_rows_nothing_is_said() -> None:
    assert concept_blocks(Summary(told_apart([row("gda", 0.5)])), ["clouds"], "gda") == []
    assert concept_tables(Summary([]), []) == []
