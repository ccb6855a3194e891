"""Own models beside published ones, with the means that they have all members of."""

from __future__ import annotations

from trifocal.evaluate.published.means import MEANS
from trifocal.metrics.result import Result
from trifocal.report.beside import beside_tables, notes


def rows_of(model, keys, value):
    return [Result(*key, value, 10, model=model) for key in keys]


def test_own_models_come_first_and_means_are_computed():
    members = [key for key in MEANS["comp_fsc_clip"].members if isinstance(key, tuple)]
    rows = [*rows_of("mine", members, 0.5), Result("world", "x", "acc", 0.1, 5, model="mine")]
    known = {
        "A": {("sugarcrepe", "mean", "acc"): 0.731, MEANS["comp_fsc_clip"].key: 0.461},
        "B": {("negbench", "coco", "acc_micro"): 0.3},  # nothing of what was measured
    }
    (table,) = beside_tables(rows, known)
    assert [column.label for column in table.columns] == ["sugarcrepe", "comp_fsc_clip"]
    shown = {row.label: [entry.value for entry in row.entries] for row in table.rows}
    assert shown == {"mine": ["50.0", "50.0"], "A": ["73.1", "46.1"]}


def test_wide_tables_are_parted():
    keys = [("valse", task, "acc") for task in ("existence", "plurals", "relations")]
    rows = rows_of("mine", keys, 0.5)
    tables = beside_tables(rows, {"A": dict.fromkeys(keys[:2], 0.4), "B": {keys[2]: 0.1}}, width=24)
    labels = [[column.label for column in table.columns] for table in tables]
    assert labels == [["valse\nexistence", "valse\nplurals"], ["valse\nrelations"]]
    assert [[row.label for row in table.rows] for table in tables] == [["mine", "A"], ["mine", "B"]]


def test_what_lacks_members_or_was_measured_in_part_is_said():
    part = "2 choices; 399 of 7511 items, whose pictures are present"
    rows = [Result("sugarcrepe", "mean", "acc", 0.5, 399, model="mine", protocol=part)]
    assert beside_tables(rows, {"A": {MEANS["comp_fsc_clip"].key: 0.461}}) == []
    first, second, *_ = notes(rows)
    assert first == "Measured on a part, and not comparable: sugarcrepe."
    assert second.startswith("comp_fsc_clip is not computed; not measured: aro mean acc, crepe")
    assert "sugarcrepe" not in second
