"""Tables in NegCLIP's format: written, made ahead, resumed; `trifocal.data` reads them."""

from __future__ import annotations

import ast
import csv
import zipfile
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trifocal.composition.negatives import (
    HardNegatives,
    TableRow,
    prepare_table,
    write_table,
)
from trifocal.composition.negatives.textblob_parser import TextBlobParser
from trifocal.errors import UserError

ITEMS = [
    ("A dog on a sofa.", "coco/1.jpg"),
    ('Two cats say "meow"\tin a big room.\n', "coco/2.jpg"),
    ("dog", "coco/3.jpg"),
    ("A man's hat on a small red chair.", "coco/4.jpg"),
    ("A woman rides a horse on the beach.", "coco/5.jpg"),
]


def maker(**settings) -> HardNegatives:
    return HardNegatives(("swap", "shuffle"), parser="textblob", **settings)


def read_table(path: Path) -> list[TableRow]:
    with path.open(encoding="utf-8", newline="") as file:
        return [
            TableRow(
                row["title"],
                row["filepath"],
                tuple(ast.literal_eval(row["neg_caption"])),
                tuple(ast.literal_eval(row["neg_image"])),
            )
            for row in csv.DictReader(file, delimiter="\t")
        ]


def test_round_trip(tmp_path: Path) -> None:
    rows = [
        TableRow("A dog.", "a/b.jpg", ("a 'cat'", 'a "cow"\n'), (1, 0)),
        TableRow("tab\there", "c.jpg"),
    ]
    path = tmp_path / "table.tsv"
    write_table(rows, path)
    assert read_table(path) == rows
    assert path.read_text().splitlines()[0] == "\ttitle\tfilepath\tneg_caption\tneg_image"
    assert path.read_text().splitlines()[1].startswith("0\tA dog.\ta/b.jpg\t")


@settings(deadline=None, max_examples=50)
@given(
    st.lists(
        st.builds(
            TableRow,
            st.text(st.characters(codec="utf-8")),
            st.text(st.characters(codec="utf-8")),
            st.lists(st.text(st.characters(codec="utf-8")), max_size=3).map(tuple),
            st.lists(st.integers(0, 99), max_size=3).map(tuple),
        ),
        max_size=4,
    )
)
def test_any_row_survives(tmp_path_factory: pytest.TempPathFactory, rows: list[TableRow]) -> None:
    path = tmp_path_factory.mktemp("table") / "table.tsv"
    write_table(rows, path)
    assert read_table(path) == rows


@pytest.fixture(scope="module")
def published(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """NegCLIP's own validation table."""
    path = tmp_path_factory.mktemp("published") / "valid.tsv"
    with zipfile.ZipFile(real_data / "annotations.zip") as archive:
        path.write_bytes(archive.read("negclip/valid_neg_clip.tsv"))
    return path


def test_published_table(published: Path, tmp_path: Path) -> None:
    rows = read_table(published)
    assert len(rows) == 4839  # of 4,847 lines: a few captions hold line breaks
    assert rows[0] == TableRow(
        "A child holding a flowered umbrella and petting a yak.",
        "coco/val2014/COCO_val2014_000000184613.jpg",
        (
            "A umbrella holding a flowered child and petting a yak .",
            "A child petting a flowered umbrella and holding a yak .",
        ),
        (2973, 1515, 2235),
    )
    assert all(row.negatives for row in rows)
    write_table(rows, tmp_path / "again.tsv")
    assert (tmp_path / "again.tsv").read_bytes() == published.read_bytes()


def test_published_negatives_are_among_ours(published: Path) -> None:
    """What NegCLIP's authors made with spaCy, swaps from the download-free parser offer too."""
    hn = HardNegatives(("swap",), parser="textblob")
    met = total = 0
    for row in read_table(published)[:300]:
        drawn = {_bare(hn(row.title)["swap"]) for _ in range(60)}
        total += len(row.negatives)
        met += sum(_bare(negative) in drawn for negative in row.negatives)
    assert total > 400
    assert met / total > 0.85


def _bare(caption: str | None) -> str:
    return "".join((caption or "").lower().split())


def test_prepared_table(tmp_path: Path) -> None:
    path = tmp_path / "made" / "table.tsv"
    done: list[int] = []
    assert prepare_table(ITEMS, path, maker(), 3, done.append) == 5
    assert done == [1, 2, 3, 4, 5]
    rows = read_table(path)
    assert [(row.title, row.filepath) for row in rows] == ITEMS
    assert rows[2].negatives == ()
    for row in rows:
        assert len(set(row.negatives)) == len(row.negatives) <= 6
        assert row.title not in row.negatives
    assert [file.name for file in path.parent.iterdir()] == ["table.tsv"]
    prepare_table(ITEMS, tmp_path / "again.tsv", maker(), 3)
    assert (tmp_path / "again.tsv").read_bytes() == path.read_bytes()
    prepare_table(ITEMS, tmp_path / "other.tsv", maker(seed=1), 3)
    assert (tmp_path / "other.tsv").read_bytes() != path.read_bytes()


class InterruptedRunError(Exception):
    pass


@pytest.mark.parametrize("stop", [1, 3, 5])
@pytest.mark.parametrize("cut", [0, 1, 7])
def test_interrupted_table_goes_on(tmp_path: Path, stop: int, cut: int) -> None:
    prepare_table(ITEMS, tmp_path / "whole.tsv", maker(), 2)

    def interrupt(done: int) -> None:
        if done == stop:
            raise InterruptedRunError

    path = tmp_path / "table.tsv"
    with pytest.raises(InterruptedRunError):
        prepare_table(ITEMS, path, maker(), 2, interrupt)
    assert not path.exists()
    (part,) = tmp_path.glob(".table.tsv.*.part")
    content = part.read_bytes()
    part.write_bytes(content[: len(content) - cut])  # the last row was not written to its end

    class Counting(HardNegatives):
        calls = 0

        def __call__(self, *arguments):
            self.calls += 1
            return super().__call__(*arguments)

    counting = Counting(("swap", "shuffle"), parser="textblob")
    prepare_table(ITEMS, path, counting, 2)
    assert counting.calls == 2 * (5 - stop + (cut > 0))
    assert path.read_bytes() == (tmp_path / "whole.tsv").read_bytes()


def test_other_captions_are_not_mixed_in(tmp_path: Path) -> None:
    def interrupt(done: int) -> None:
        raise InterruptedRunError

    path = tmp_path / "table.tsv"
    with pytest.raises(InterruptedRunError):
        prepare_table(ITEMS, path, maker(), 2, interrupt)
    with pytest.raises(UserError, match="interrupted run over other captions"):
        prepare_table(ITEMS[1:], path, maker(), 2)
    prepare_table(ITEMS[1:], path, maker(), 1)  # other settings have a file of their own
    assert len(read_table(path)) == 4


def test_normalized_titles(tmp_path: Path) -> None:
    prepare_table(ITEMS[:1], tmp_path / "t.tsv", maker(normalize=True))
    (row,) = read_table(tmp_path / "t.tsv")
    assert row.title == "a dog on a sofa"


def test_captions_are_parsed_in_batches_and_those_that_are_done_not_at_all(tmp_path: Path) -> None:
    class Batches(TextBlobParser):
        met: ClassVar[list[int]] = []

        def parse_many(self, captions):
            captions = list(captions)
            self.met.append(len(captions))
            return map(self.parse, captions)

    def interrupt(done: int) -> None:
        if done == 2:
            raise InterruptedRunError

    many = [(f"a dog and {number} cats", "a.jpg") for number in range(600)]
    batched = HardNegatives(("swap", "shuffle"), parser=Batches())
    with pytest.raises(InterruptedRunError):
        prepare_table(many, tmp_path / "table.tsv", batched, 1, interrupt)
    fresh = HardNegatives(("swap", "shuffle"), parser=Batches())
    assert prepare_table(many, tmp_path / "table.tsv", fresh) == 600
    assert Batches.met == [512, 512, 86]
    prepare_table(many, tmp_path / "plain.tsv", maker())
    assert (tmp_path / "plain.tsv").read_bytes() == (tmp_path / "table.tsv").read_bytes()


def test_a_table_that_is_there_is_kept(tmp_path):
    (tmp_path / "t.tsv").write_text("mine")
    for write in (
        lambda path: write_table([], path),
        lambda path: prepare_table([], path, maker()),
    ):
        with pytest.raises(UserError, match="is not replaced"):
            write(tmp_path / "t.tsv")
        with pytest.raises(UserError, match=r"end its name in \.tsv"):
            write(tmp_path / "t.csv")
    assert (tmp_path / "t.tsv").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["t.tsv"]
