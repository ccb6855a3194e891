"""Tables as files."""

from __future__ import annotations

import csv

import pytest

from trifocal.errors import UserError
from trifocal.metrics.result import Result
from trifocal.report.beside import beside_tables
from trifocal.report.comparison import comparison_table
from trifocal.report.exported import check_export, write_export
from trifocal.report.latex import latex
from trifocal.report.table import Column, Entry, Row, Table

ROWS = [
    Result("sugarcrepe", "swap_obj", "acc", 0.6122, 245, 0.5, model="a_b", blind=0.25),
    Result("sugarcrepe", "swap_obj", "acc", 0.7, 245, 0.5, model="c"),
]


def test_the_ending_names_the_form(tmp_path):
    table = comparison_table(ROWS)
    for ending, part in ((".md", "| 61.2 |"), (".tex", "61.2 & 70.0 +8.8"), (".csv", "0.6122")):
        write_export(tmp_path / f"t{ending}", [table], ROWS)
        assert part in (tmp_path / f"t{ending}").read_text(encoding="utf-8")
    (first, _) = csv.DictReader((tmp_path / "t.csv").open(newline=""))
    assert (first["model"], first["value"], first["blind"], first["seed"]) == (
        "a_b", "0.6122", "0.25", "",
    )  # fmt: skip
    with pytest.raises(UserError, match=r"\.md, \.tex, \.csv"):
        check_export(tmp_path / "t.xls")
    (tmp_path / "mine.md").write_text("not ours")
    with pytest.raises(UserError, match="is not replaced"):
        write_export(tmp_path / "mine.md", [table], ROWS)


def test_published_models_stand_below_ones_own(tmp_path):
    published = {"CLIP": {ROWS[0].key: 0.5, ("other", "mean", "acc"): 0.1}}
    beside = beside_tables(ROWS, published)
    write_export(tmp_path / "t.csv", [comparison_table(ROWS), *beside], ROWS, published)
    *_, last = csv.DictReader((tmp_path / "t.csv").open(newline=""))
    assert (last["model"], last["value"], last["task"]) == ("CLIP", "0.5", "swap_obj")
    assert "published" in last["protocol"]
    write_export(tmp_path / "t.md", [comparison_table(ROWS), *beside], ROWS, published)
    text = (tmp_path / "t.md").read_text(encoding="utf-8")
    assert "| CLIP | 50.0 |" in text
    assert "sugarcrepe<br>swap_obj" in text


def test_latex_escapes_and_marks():
    table = Table("", "50 % & more", [Column("a_b"), Column("w", words=True)], [
        Row("part"), Row("x^2", [Entry("1.0", spread="0.2", best=True), Entry("±0.0")], "strong"),
    ])  # fmt: skip
    made = latex(table).splitlines()
    assert made[0] == r"\begin{tabular}{lrl}"
    assert made[2] == r"50 \% \& more & a\_b & w \\"
    assert made[4] == r"\multicolumn{3}{l}{\textbf{part}} \\"
    assert made[5] == r"\textbf{x\textasciicircum{}2} & \textbf{1.0\,$\pm$\,0.2} & $\pm$0.0 \\"
    assert made[-1] == r"\end{tabular}"
