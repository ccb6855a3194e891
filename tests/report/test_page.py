"""The page: complete, escaped, and silent."""

from __future__ import annotations

import base64
import hashlib
import io
import re
from html.parser import HTMLParser
from importlib import resources

import pytest
import torch
from markupsafe import Markup
from PIL import Image

from trifocal.report import page
from trifocal.report.page import (
    Browser,
    Chapter,
    Example,
    Examples,
    Facts,
    HeatMap,
    HeatMaps,
    Highlight,
    Highlights,
    Judged,
    Note,
    Picture,
    Pictures,
    Plot,
    Plots,
    Prose,
    Ranked,
    Ranking,
    Rankings,
    Report,
    Score,
    Verdict,
    data_uri,
    render,
    write_report,
)
from trifocal.report.table import Column, Entry, Row, Table

EVIL = '<img src=x onerror="alert(1)">&{{ 7*7 }}'
PICTURE = Image.new("RGB", (30, 20), (200, 10, 10))
TABLE = Table(
    EVIL,
    EVIL,
    [Column(EVIL, "gained", EVIL), Column("b", "gained"), Column("c", "cost")],
    [Row(EVIL, [Entry(EVIL, EVIL, "gain", EVIL), Entry("2"), Entry("3", "−1", "cost")], "strong")],
    EVIL,
)
PLOT = Plot(Markup("<svg></svg>"), EVIL, EVIL)
BLOCKS = [
    Prose([EVIL], EVIL),
    Note(EVIL),
    Highlights([Highlight(EVIL, EVIL, EVIL, "gain")]),
    TABLE,
    Plots(EVIL, [PLOT, PLOT], EVIL, TABLE),
    Examples(EVIL, [Example(PICTURE, EVIL, EVIL, EVIL, [Verdict(EVIL, 0.3, 0.2), Verdict("m", 0.1, 0.1)])], EVIL),
    Browser(EVIL, [Judged([PICTURE], EVIL, [(EVIL, True)], [EVIL], [(EVIL, True, [Score(0.3, True, True)])])], EVIL),
    HeatMaps(EVIL, [HeatMap(PICTURE, EVIL, [EVIL], [(EVIL, [PICTURE])])], EVIL),
    Rankings(EVIL, [Ranking(PICTURE, EVIL, [(EVIL, [Ranked(EVIL, 0.1, True)], PICTURE)])], EVIL),
    Pictures(EVIL, [Picture(PICTURE, EVIL, EVIL)], EVIL),
    Facts(EVIL, [(EVIL, EVIL)], [EVIL]),
]  # fmt: skip
REPORT = Report(
    EVIL,
    EVIL,
    [Chapter("First & last", EVIL, BLOCKS, EVIL), Chapter("Empty", "nothing", [])],
    [Facts(EVIL, [(EVIL, EVIL)], [EVIL])],
    [(EVIL, EVIL), ("text alone", "")],
)
VOID = {"meta", "img", "br", "link", "input", "hr", "circle", "path", "use"}


class Checker(HTMLParser):
    """Notes tags, attributes and text, and that tags close in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.add(tag)

    def handle_endtag(self, tag):
        assert self.open
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def checked() -> Checker:
    checker = Checker()
    checker.feed(render(REPORT))
    assert checker.open == []
    return checker


def test_every_kind_of_block_is_shown(checked):
    assert {block.kind for block in BLOCKS} == {
        kind.kind for kind in vars(page).values() if isinstance(getattr(kind, "kind", None), str)
    }
    text = "".join(checked.text)
    assert text.count(EVIL) >= 25  # every field, as it was given
    assert "&49" not in text  # a template in the data is not run


def test_one_script_runs_and_nothing_is_fetched(checked):
    assert not checked.tags & {"iframe", "object", "embed", "link", "form", "base"}
    for name, value in checked.attributes:
        assert not name.startswith("on")
        if name in ("src", "href", "action", "data", "srcset", "poster"):
            assert value.startswith(("data:image/webp;base64,", "#"))
    html = render(REPORT)
    assert "url(" not in html
    assert "@import" not in html
    assert "default-src 'none'" in html
    script = resources.files("trifocal.report").joinpath("page.js").read_text("utf-8")
    assert html.count("<script>") == 1
    assert f"<script>{script}</script>" in html
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in html  # no other script runs


def test_what_was_found_stands_on_top():
    found = [Chapter("A", "lead", [], found=["One.", "Two."]), Chapter("B", "lead", [])]
    html = render(Report("t", "s", found))
    assert html.index("What was found") < html.index("One. Two.") < html.index('id="a"')
    assert "What was found" not in html.split("One. Two.")[1]
    assert "What was found" not in render(Report("t", "s", found[1:]))


def test_what_is_to_be_looked_at_is_folded():
    html = render(REPORT)
    assert html.count("<details>") == 4  # examples, questions, maps, rankings
    folded = Plots("Training", [PLOT], folded=True)
    assert render(Report("t", "s", [Chapter("c", "l", [folded])])).count("<details>") == 1


def test_commands_can_be_copied():
    html = render(Report("t", "s", [Chapter("c", "l", [Note("Add this.", "trifocal list")])]))
    assert '<pre class="command"><code>trifocal list</code></pre>' in html


def test_a_percent_sign_stays_with_its_number():
    assert "95\u00a0%" in render(Report("t", "95 % of it", []))


def test_chapters_are_linked(checked):
    links = {value for name, value in checked.attributes if name == "href"}
    ids = {value for name, value in checked.attributes if name == "id"}
    assert {"#first-last", "#empty", "#facts", "#next"} <= links
    assert {link[1:] for link in links} <= ids


def test_it_fits_a_phone_and_a_dark_room():
    html = render(REPORT)
    assert 'name="viewport"' in html
    assert "prefers-color-scheme: dark" in html
    assert "@media (max-width" in html


def test_the_preferred_caption_is_marked():
    html = render(REPORT)
    assert html.count("prefers the true caption") == 1
    assert html.count("prefers the false caption") == 1  # a tie is wrong
    assert ".300" in html


def test_neighboring_columns_share_a_heading():
    assert TABLE.groups == [("gained", 2), ("cost", 1)]


def test_a_small_report_needs_no_more_than_a_title():
    html = render(Report("t", "s", []))
    assert "<title>t</title>" in html


def test_the_file_is_wholly_there_or_unchanged(tmp_path):
    path = write_report(tmp_path / "run" / "report.html", REPORT)
    before = path.read_text()
    broken = Report("t", "s", [Chapter("c", "l", [Note])])  # a class is not a block
    with pytest.raises(Exception, match="text"):
        write_report(path, broken)
    assert path.read_text() == before
    assert [file.name for file in path.parent.iterdir()] == ["report.html"]


@pytest.mark.parametrize(
    "picture", [PICTURE, PICTURE.convert("L"), torch.zeros(3, 20, 30, dtype=torch.uint8)]
)
def test_pictures_are_inlined(picture):
    uri = data_uri(picture, 15)
    kind, _, data = uri.partition(",")
    assert kind == "data:image/webp;base64"
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == (15, 10)
    assert PICTURE.size == (30, 20)  # the original is untouched


def test_scores_are_short():
    assert [page.score(x) for x in (0.3121, -0.05, 0.0, 1.25, -0.9999, 10.04)] == [
        ".312", "−.050", ".000", "1.250", "−1.000", "10.040",
    ]  # fmt: skip


def test_same_report_same_page():
    strip = re.compile(r"\s+")
    assert strip.sub(" ", render(REPORT)) == strip.sub(" ", render(REPORT))
