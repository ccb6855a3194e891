"""One table, two renderers: all numbers are in both."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from trifocal.report.page import Chapter, Report, render
from trifocal.report.table import Column, Entry, Row, Table, tone_of
from trifocal.report.terminal import terminal_table

TABLE = Table(
    "Before and after",
    "model [x]",
    [
        Column("first", "gained", "a hint"),
        Column("second one", "gained"),
        Column("why", words=True),
    ],
    [
        Row("Mine"),
        Row("base", [Entry("50.0", spread="1.5"), Entry("7.25"), Entry("plain")], "strong"),
        Row("[tuned]", [Entry("61.5", "+11.5", "gain", "n = 7"), Entry("–"), Entry("<taught>")]),
    ],
    "How to read it.",
    "Before and after, in %",
)


def printed(table: Table, width: int = 80, color: bool = False) -> str:
    stream = io.StringIO()
    options = {"force_terminal": True, "color_system": "standard"} if color else {}
    Console(file=stream, width=width, **options).print(terminal_table(table))
    return stream.getvalue()


def test_the_terminal_and_the_page_show_the_same_numbers():
    text, page = printed(TABLE), render(Report("t", "s", [Chapter("c", "l", [TABLE])]))
    for told in (
        "model [x]",
        "second one",
        "Mine",
        "base",
        "50.0",
        "7.25",
        "[tuned]",
        "61.5",
        "+11.5",
    ):
        assert told in text
        assert told in page
    assert "50.0±1.5" in text
    assert "± 1.5" in page
    assert "<taught>" in text
    assert "&lt;taught&gt;" in page
    assert page.count('class="words"') == 3  # the heading and two cells


def test_a_terminal_has_another_heading_and_no_caption():
    text = printed(TABLE)
    assert text.startswith("Before and after, in %")
    assert "How to read it" not in text
    assert "gained" not in text


def test_tones_and_the_best_are_seen_in_a_terminal():
    def shown(entry: Entry) -> str:
        return printed(Table("", "m", [Column("a")], [Row("r", [entry])]), color=True)

    assert "\x1b[32m +1" in shown(Entry("5", "+1", "gain"))
    assert "\x1b[31m5" in shown(Entry("5", tone="cost"))
    assert "\x1b[1m5" in shown(Entry("5", best=True))


@pytest.mark.parametrize("change", ["", "+11.5"])
def test_where_there_is_no_room_numbers_stay_whole(change):
    count = 6 if change else 8
    names = [f"measure {letter}" for letter in "abcdefgh"[:count]]
    rows = [Row(f"image_retrieval_recall@{i}", [Entry("61.5", change)] * count) for i in (1, 5)]
    text = printed(Table("", "model", [*map(Column, names)], rows))
    assert max(map(len, text.splitlines())) <= 80
    assert text.count("61.5") == 2 * count
    assert text.count("+11.5") == (2 * count if change else 0)


def test_a_long_path_leaves_room_for_the_measure():
    path = "/home/somebody/experiments/of/this/year/and/the/last/runs/lit-captions-own"
    row = Row("image_retrieval_recall@10", [Entry("62.5")])
    shown = printed(Table("", "measure", [Column(path)], [row]))
    assert "image_retrieval_recall@10" in shown
    assert "…" in shown
    assert "runs/lit-captions-own" in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_tones():
    assert [tone_of(value) for value in (1.0, -1.0)] == ["gain", "cost"]
    assert [tone_of(1.0, sure=False), tone_of(1.0, sure=False, unsure="")] == ["flat", ""]
