"""Entries of a file are counted; what is left out is said, or refused."""

from __future__ import annotations

import logging

import pytest

from trifocal.errors import UserError
from trifocal.tally import Tally


def test_a_whole_file_is_not_talked_about(caplog: pytest.LogCaptureFixture) -> None:
    tally = Tally("captions.csv")
    tally.use(3)
    with caplog.at_level(logging.INFO):
        tally.close()
    assert not caplog.records
    assert str(tally) == "captions.csv: 3 entries read, 3 used"
    assert tally.facts() == {"read": 3, "used": 3, "left_out": {}}


def test_a_little_is_said(caplog: pytest.LogCaptureFixture) -> None:
    tally = Tally("captions.csv")
    tally.use(1996)
    for line in (7, 9, 11, 13):
        tally.leave_out("without a caption", f"line {line}")
    tally.leave_out("of an unknown split", "line 20")
    tally.close()
    assert caplog.records[0].getMessage() == (
        "captions.csv: 2,001 entries read, 1,996 used, 5 left out "
        "(4 without a caption: line 7, line 9, line 11 …; 1 of an unknown split: line 20)"
    )
    assert tally.facts()["left_out"] == {"without a caption": 4, "of an unknown split": 1}


def test_much_is_refused() -> None:
    tally = Tally("captions.csv", remedy="mend them, or allow more by data.most_left_out")
    tally.use(98)
    tally.leave_out("without a caption", "line 3")
    tally.leave_out("without a caption", "line 4")
    with pytest.raises(UserError, match=r"2 of 100 entries of captions\.csv .*line 3, line 4"):
        tally.close()
    Tally("captions.csv", 0.02, used=98, reasons=tally.reasons).close()


def test_nothing_left_is_refused_whatever_may_be_left_out() -> None:
    tally = Tally("captions.csv", most_left_out=1.0)
    tally.leave_out("without a caption", "line 2")
    with pytest.raises(UserError, match="1 of 1 entries"):
        tally.close()


def test_one_part_of_an_entry_is_said_and_several_are_held_against_the_entries() -> None:
    tally = Tally("captions.json", used=10)
    tally.drop_part("caption that is null", "annotation 1")
    tally.close()
    assert tally.facts()["parts_left_out"] == {"caption that is null": 1}
    tally.drop_part("caption that is null", "annotation 2")
    with pytest.raises(UserError, match=r"2 parts of the 10 entries .*annotation 1, annotation 2"):
        tally.close()
    strict = Tally("captions.json", 0.0, used=10)
    strict.drop_part("caption that is null", "annotation 1")
    with pytest.raises(UserError, match="1 parts"):
        strict.close()


def test_what_is_no_entry_is_said_and_is_never_too_much(caplog: pytest.LogCaptureFixture) -> None:
    tally = Tally("photos", used=1)
    for name in (".a", ".b"):
        tally.pass_over("hidden", name)
    tally.close()
    assert caplog.messages == ["photos: 1 entries read, 1 used, passed over (2 hidden: .a, .b)"]
    assert tally.facts() == {"read": 1, "used": 1, "left_out": {}, "passed_over": {"hidden": 2}}
