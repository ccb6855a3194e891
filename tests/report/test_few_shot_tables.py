"""Few-shot tables fit a terminal of 80 columns and say what was measured."""

from __future__ import annotations

import io

from rich.console import Console

from tests.evaluate.few_shot.fakes import HEADS, Source, row
from trifocal.evaluate.few_shot.methods import few_shot_methods
from trifocal.evaluate.few_shot.pairs import Answers
from trifocal.evaluate.few_shot.rows import told_apart
from trifocal.evaluate.few_shot.run import run_few_shot
from trifocal.evaluate.few_shot.summary import Summary
from trifocal.report.few_shot_tables import few_shot_tables, shots_table
from trifocal.report.terminal import terminal_table

METHODS = ["zero-shot", "tip-adapter-f", "clip-adapter", "linear-probe", "ccli"]
DATASETS = ["caltech101", "oxford_flowers"]


def grid() -> list:
    return [
        row(method, 0.5 + 0.01 * (i + shots) + 0.002 * seed, shots, dataset, seed=seed)
        for i, method in enumerate(METHODS)
        for dataset in DATASETS
        for shots in (1, 2, 4, 8, 16)
        for seed in (1, 2, 3)
    ]


def printed(tables, width: int = 80) -> list[str]:
    stream = io.StringIO()
    console = Console(file=stream, width=width)
    for table in tables:
        console.print(terminal_table(table))
    return stream.getvalue().splitlines()


def test_the_usual_run_fits_80_columns_with_one_line_a_method():
    lines = printed(few_shot_tables(Summary(told_apart(grid()))))
    assert max(map(len, lines)) <= 80
    assert lines[0].startswith("Mean of 2 data sets: accuracy by shots, %")
    (zero,) = [line for line in lines[:9] if line.startswith("zero-shot")]
    assert zero.split() == [
        "zero-shot", "51.4±0.5", "52.4±0.5", "54.4±0.5", "58.4±0.5", "66.4±0.5", "56.6±0.5",
    ]  # fmt: skip
    for method in METHODS:
        assert sum(line.startswith(f"{method} ") for line in lines) == 3


def test_the_best_of_a_column_is_bold():
    table = terminal_table(shots_table(Summary(told_apart(grid())), DATASETS))
    for column in table.columns[1:]:
        *others, best = column._cells  # ccli, the last, has the highest values
        assert best.style == "bold"
        assert all(cell.style == "" for cell in others)


def test_what_is_missing_is_a_dash():
    rows = [row("a", 0.5), row("a", 0.6, 2), row("b", 0.7, 2)]
    lines = printed(few_shot_tables(Summary(told_apart(rows))))
    (b,) = [line.split() for line in lines if line.startswith("b")]
    assert b[1] == b[3] == "–"


def test_a_real_run_fills_every_table(tmp_path):
    file = tmp_path / "r.jsonl"
    rows = run_few_shot(
        [
            Source("a", domains=("imagenetv2", "low_resolution")),
            Source("b"),
            Source("c", base_to_new=True),
        ],
        few_shot_methods(HEADS, HEADS),
        (1, 4),
        (1, 2),
        results=file,
    )
    measured = told_apart(rows)
    tables = few_shot_tables(Summary(measured), Answers(measured, [file]), "mean")
    text = "\n".join(printed(tables))
    for told in (
        "Mean of 2 data sets",
        "Against mean by shots",
        "a, 4 shots: fitted to it, tested on shifted domains",
        "Base to new, 4 shots, c, %",
        "H of means",
        "mean of H",
        "What it takes, 4 shots",
        "1000 predictions",
    ):
        assert told in text
    header = text[text.index("shifted domains") :].partition("─")[0]
    assert {"a", "v2", "low", "resolution", "mean", "of", "shifted"} <= set(header.split())


def test_names_are_no_markup():
    rows = [row("a[/b]", 0.5, dataset="[x]")]
    text = "\n".join(printed(few_shot_tables(Summary(told_apart(rows)))))
    assert "a[/b]" in text
    assert "[x]: accuracy" in text


def test_nothing_gives_nothing():
    assert few_shot_tables(Summary([])) == []
