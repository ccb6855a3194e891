"""Own models beside published ones, with the means that they have all members of."""

from __future__ import annotations

from trifocal.evaluate.published.means import MEANS
from trifocal.metrics.result import Result
from trifocal.report.beside import beside_table, missing_lines


def rows_of(model, keys, value):
    return [Result(*key, value, 10, model=model) for key in keys]


def test_own_models_come_first_and_means_are_computed():
    members = [key for key in MEANS["comp_fsc_clip"].members if isinstance(key, tuple)]
    rows = [*rows_of("mine", members, 0.5), Result("world", "x", "acc", 0.1, 5, model="mine")]
    known = {
        "A": {("sugarcrepe", "mean", "acc"): 0.731, MEANS["comp_fsc_clip"].key: 0.461},
        "B": {("negbench", "coco", "acc_micro"): 0.3},  # nothing of what was measured
    }
    table = beside_table(rows, known)
    assert [column.label for column in table.columns] == ["sugarcrepe", "comp_fsc_clip"]
    shown = {row.label: [entry.value for entry in row.entries] for row in table.rows}
    assert shown == {"mine": ["50.0", "50.0"], "A": ["73.1", "46.1"]}


def test_a_mean_that_lacks_members_is_said_not_shown():
    rows = rows_of("mine", [("sugarcrepe", "mean", "acc")], 0.5)
    table = beside_table(rows, {"A": {MEANS["comp_fsc_clip"].key: 0.461}})
    assert table.columns == []
    first = missing_lines(rows)[0]
    assert first.startswith("comp_fsc_clip is not computed: 10 of its members")
    assert "winoground all group" in first
