"""Means over questions against the loops that they stand for."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from trifocal.metrics.answers import Answers
from trifocal.metrics.benchmark import Sheet

TREE = {"pair": ("a", "b"), "mean": ("pair", "c"), "absent": ("a", "z")}


def answers(rows: list[tuple[str, bool, bool]]) -> Answers:
    right = torch.tensor([one[1] for one in rows])
    tied = torch.tensor([one[2] and not one[1] for one in rows])
    chance = torch.tensor([0.5 if one[0] == "a" else 0.25 for one in rows], dtype=torch.float64)
    return Answers([one[0] for one in rows], right, tied, chance, ~right)


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.booleans(), st.booleans()), min_size=1, max_size=20
    )
)
def test_means_equal_brute_force(rows):
    sheet = Sheet("b", "m", "")
    answers(rows).add_rows(sheet, "acc", TREE)
    found = {row.task: row for row in sheet.rows}
    share = {}
    for part in dict.fromkeys(name for name, _, _ in rows):
        own = [right for name, right, _ in rows if name == part]
        share[part] = sum(own) / len(own)
    if "a" in share and "b" in share:
        share["pair"] = (share["a"] + share["b"]) / 2
        if "c" in share:
            share["mean"] = (share["pair"] + share["c"]) / 2
    assert set(found) == set(share)
    for name, value in share.items():
        row = found[name]
        assert abs(row.value - value) < 1e-12
        assert abs(row.blind + row.value - 1) < 1e-12  # the blind one is right where this is not
        assert row.marks.shape == (row.n,)
        assert abs(float(row.marks.mean()) - value) < 1e-12
    if "pair" in found:
        assert abs(found["pair"].chance - 0.375) < 1e-12


def test_ties_are_counted_and_may_be_right():
    made = answers([("a", False, True), ("a", True, False), ("a", False, False)])
    sheet = Sheet("b", "m", "")
    made.add_row(sheet, "all", "acc", made.micro())
    made.ties_right().add_row(sheet, "all", "acc_ties_right", made.micro())
    strict, kind = sheet.rows
    assert (strict.value, strict.ties, strict.n) == (1 / 3, 1, 3)
    assert (kind.value, kind.ties) == (2 / 3, 0)
    assert made.at(torch.tensor([False, True, True])).right.tolist() == [True, False]
