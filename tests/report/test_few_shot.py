"""The few-shot chapter: its figures are well formed, its blocks follow from the results."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from tests.evaluate.few_shot.fakes import HEADS, Source, row
from trifocal.evaluate.few_shot.methods import few_shot_methods
from trifocal.evaluate.few_shot.pairs import Answers
from trifocal.evaluate.few_shot.rows import told_apart
from trifocal.evaluate.few_shot.run import run_few_shot
from trifocal.evaluate.few_shot.summary import Summary
from trifocal.report import few_shot_figures, figures
from trifocal.report.few_shot import few_shot_chapter, few_shot_report
from trifocal.report.figures import Series
from trifocal.report.page import Chapter, Plots, render
from trifocal.report.table import Table

HOSTILE = "<script>alert(1)</script> $x_1$ & co"


def chapter_of(rows, reference: str, **more) -> Chapter:
    measured = told_apart(rows)
    return few_shot_chapter(Summary(measured), Answers(measured, []), reference, **more)


def titles(chapter: Chapter) -> list[str]:
    return [block.title for block in chapter.blocks if isinstance(block, Table | Plots)]


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    file = tmp_path_factory.mktemp("few") / "r.jsonl"
    sources = [Source("a", domains=("a_v2",)), Source("b", 0.5), Source("c", base_to_new=True)]
    rows = run_few_shot(sources, few_shot_methods(HEADS, HEADS), (1, 4), (1, 2), results=file)
    found = told_apart(rows)
    return Summary(found), Answers(found, [file])


def test_every_part_is_there(measured):
    report = few_shot_report(*measured, "mean", ["trifocal eval few-shot --methods mean"])
    (chapter,) = report.chapters
    assert titles(chapter) == [
        "Average of 2 data sets",
        "Data set by data set",
        "Gain over zero-shot",
        "Against mean, on the same test pictures",
        "Shifted domains, 4 shots",
        "Base to new, 4 shots",
        "What it takes, 4 shots",
    ]
    panels = next(b for b in chapter.blocks if getattr(b, "title", "") == "Data set by data set")
    assert [plot.summary.partition(":")[0] for plot in panels.plots] == ["a", "b", "Legend"]
    html = render(report)
    for told in (
        "arXiv 2507.20834",
        "seeds",
        "1, 2",
        "few (min(shots, 4) a class)",
        "on validation",
    ):
        assert told in html
    ids = re.findall(r'\bid="([^"]+)"', html)
    assert len(ids) == len(set(ids))


def test_one_data_set_has_one_figure():
    rows = [row(m, 0.5 + 0.1 * s, s) for m in ("zero-shot", "ccli") for s in (1, 2)]
    chapter = chapter_of(rows, "ccli")
    assert titles(chapter)[0] == "clouds"
    assert "Data set by data set" not in titles(chapter)


@pytest.mark.parametrize(
    ("methods", "datasets"),
    [(["a", "ccli"], "xy"), (["zero-shot", "ccli"], "x"), (["zero-shot"], "xy")],
)
def test_gains_need_zero_shot_and_several_data_sets(methods, datasets):
    rows = [row(m, 0.5, dataset=d) for m in methods for d in datasets]
    assert "Gain over zero-shot" not in titles(chapter_of(rows, methods[-1]))


def test_gains_are_those_of_the_rows():
    rows = [
        *(row("zero-shot", 0.5, dataset=d) for d in "xyz"),
        *(row("ccli", v, dataset=d) for d, v in zip("xyz", (0.6, 0.45, 0.8))),
    ]
    gains = next(
        b for b in chapter_of(rows, "ccli").blocks if getattr(b, "title", "")[:4] == "Gain"
    )
    assert "z +30.0; x +10.0; y −5.0" in gains.plots[0].summary
    assert [r.entries[1].change for r in gains.beside.rows] == ["+30.0", "+10.0", "−5.0"]
    assert gains.beside.rows[2].entries[1].tone == "cost"


def test_without_kept_answers_there_is_no_paired_table():
    names = titles(chapter_of([row("a", 0.5), row("ccli", 0.6)], "ccli"))
    assert not any(name.startswith("Against") for name in names)


def test_numbers_of_the_world_are_labeled():
    world = chapter_of([row("a", 0.5, dataset="world")], "a")
    assert "drawn world" in world.label
    assert not any("2507.20834" in getattr(block, "text", "") for block in world.blocks)
    public = chapter_of([row("a", 0.5, dataset="caltech101")], "a", remark="By the way.")
    assert public.label == ""
    (note,) = [block.text for block in public.blocks if block.kind == "note"]
    assert "2507.20834" in note
    assert note.endswith("By the way.")


def test_the_lead_names_the_best_and_the_featured():
    rows = [row(m, v) for m, v in (("a", 0.9), ("b", 0.8), ("c", 0.7), ("ccli", 0.6))]
    assert "on clouds: a 90.0, b 80.0, c 70.0; ccli 60.0." in chapter_of(rows, "ccli").lead
    more = [row("ccli", 0.6, shots, name) for shots in (1, 2) for name in "xy"]
    assert "averaged over all shots and 2 data sets: ccli 60.0." in chapter_of(more, "ccli").lead


LINES = [
    Series("zero-shot", [1, 2, 4], [50, 50, 50], place=0, band=([49] * 3, [51] * 3)),
    Series(HOSTILE, [1, 2, 4], [51, 55, 62], place=1, band=([50, 54, 61], [52, 56, 63])),
    *(Series(f"m{i}", [1, 4], [50 + i, 60 + i], place=i) for i in range(2, 16)),
]


GAINS = [Series(line.label, [3.0, -2.0], [], place=line.place) for line in LINES[1:4]]


@pytest.mark.parametrize(
    "draw",
    [
        lambda: few_shot_figures.over_shots(LINES, title=HOSTILE),
        lambda: few_shot_figures.over_shots(LINES, title="b", small=True, legend=False),
        lambda: few_shot_figures.legend_alone(LINES),
        lambda: few_shot_figures.gains(["x", HOSTILE], GAINS[0], GAINS[1:], "points"),
    ],
    ids=["large", "small", "legend", "gains"],
)
def test_figures_are_well_formed_and_repeatable(draw):
    text = draw()
    assert draw() == text
    ElementTree.fromstring(text)
    assert "<script" not in text
    assert "#010203" not in text


def test_shots_are_the_ticks():
    tree = ElementTree.fromstring(few_shot_figures.over_shots(LINES[:2]))
    texts = ["".join(node.itertext()) for node in tree.iter("{http://www.w3.org/2000/svg}text")]
    assert texts[:3] == ["1", "2", "4"]
    assert HOSTILE in texts


def test_as_many_methods_as_there_are_look_different():
    looks = [figures.style(place) for place in range(17)]
    assert len({(color, line) for color, _, line in looks}) == 17
    assert len({(color, marker) for color, marker, _ in looks}) == 17
    for front in (few_shot_figures.FLAT, few_shot_figures.FEATURED):
        assert sum(color == looks[front][0] for color, _, _ in looks) == 1


def test_of_many_methods_the_table_stands_alone():
    rows = [row(f"m{i}", 0.5 + i / 100, s) for i in range(9) for s in (1, 2)]
    assert titles(chapter_of(rows, "m3"))[:2] == ["clouds", "clouds, in percent"]
