"""Tables of pictures with their classes."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import pytest

from tests.concepts.miniatures import make_folder
from trifocal.concepts.datasets.folders import read_folder
from trifocal.errors import UserError

ROWS = [
    {"path": f"pictures/{name}/{i}.png", "class": name, "split": split}
    for name in ("polar_bear", "cat")
    for i, split in enumerate(("train", "train", "val", "test"))
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_folder(tmp_path / "pictures", ["cat", "polar_bear"], per_class=4)
    return tmp_path


def write(file: Path, rows: list[dict], separator: str = ",") -> Path:
    """Write rows as a table, or as JSON lines by the file's name."""
    if file.suffix == ".jsonl":
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return file
    lines = [separator.join(rows[0])]
    lines += [separator.join(str(value) for value in row.values()) for row in rows]
    file.write_text("\n".join(lines) + "\n")
    return file


@pytest.mark.parametrize(("name", "separator"), [("a.csv", ","), ("a.tsv", "\t"), ("a.jsonl", "")])
def test_forms(name: str, separator: str, folder: Path) -> None:
    data = read_folder(write(folder / name, ROWS, separator))
    assert data.name == "a"
    assert data.images == folder
    assert data.classnames == ("cat", "polar bear")
    assert [item.path for item in data.train] == [
        row["path"] for row in ROWS if "ain" in row["split"]
    ]
    assert [item.label for item in data.train] == [1, 1, 0, 0]
    assert [item.path for item in data.test] == ["pictures/polar_bear/3.png", "pictures/cat/3.png"]
    assert len(data.val) == 2


def test_without_parts_it_is_divided(folder: Path) -> None:
    rows = [{k: row[k] for k in ("path", "class")} for row in ROWS]
    file = write(folder / "a.csv", rows)
    data = read_folder(file)
    assert [len(part) for part in (data.train, data.val, data.test)] == [4, 2, 2]
    assert len(read_folder(file, val=0, test=0).train) == 8


def test_val_without_test_is_tested_on(folder: Path) -> None:
    data = read_folder(write(folder / "a.csv", [row for row in ROWS if row["split"] != "test"]))
    assert [len(part) for part in (data.train, data.val, data.test)] == [4, 0, 2]


def test_training_pictures_alone(folder: Path) -> None:
    data = read_folder(write(folder / "a.csv", [row for row in ROWS if row["split"] == "train"]))
    assert [len(part) for part in (data.train, data.val, data.test)] == [4, 0, 0]


def test_labels_with_names(folder: Path) -> None:
    numbers = {"polar_bear": 0, "cat": 1}
    rows = [{"image": r["path"], "label": numbers[r["class"]], "class": r["class"]} for r in ROWS]
    assert read_folder(write(folder / "a.csv", rows)).classnames == ("polar bear", "cat")
    rows[0]["label"] = 1
    with pytest.raises(UserError, match="class 1 has two names"):
        read_folder(write(folder / "a.csv", rows))
    rows[0]["label"] = 0.5
    with pytest.raises(UserError, match=r"row 1 of .* the label '0.5' is not an integer"):
        read_folder(write(folder / "a.csv", rows))


def test_label_may_be_the_name_or_a_number(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = [{"path": row["path"], "label": row["class"]} for row in ROWS]
    assert read_folder(write(folder / "a.csv", rows)).classnames == ("cat", "polar bear")
    numbers = {"polar_bear": 10, "cat": 9}
    rows = [{"path": row["path"], "label": numbers[row["class"]]} for row in ROWS]
    with caplog.at_level(logging.WARNING):
        data = read_folder(write(folder / "a.jsonl", rows))
    assert data.classnames == ("9", "10")
    assert "names its classes by numbers only" in caplog.text


def test_absolute_paths(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    rows = [{**row, "path": str(folder / row["path"])} for row in ROWS]
    data = read_folder(write(tmp_path_factory.mktemp("elsewhere") / "a.csv", rows))
    assert data.images == folder / "pictures"
    assert data.train[0].path == "polar_bear/0.png"
    assert all(file.is_file() for file in data.files(data.train))


def changed(**change: object) -> list[dict]:
    return [{**ROWS[0], **change}, *ROWS[1:]]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (changed(path="../x.png"), r"entry 1 of train .* leaves the image folder"),
        (changed(path=ROWS[1]["path"]), r"occurs twice"),
        (changed(path=""), "row 1 of .* has no path"),
        (changed(path="pictures/x.png"), r"1 pictures of .* are missing \(first .*x.png\)"),
        (changed(split="holdout"), "row 1 of .* has the split 'holdout'; write train, val or test"),
        (changed(split=""), "row 1 of .* has no split"),
        (changed(**{"class": ""}), "row 1 of .* has no class"),
        (changed(**{"class": "Cat"}), "'Cat' and 'cat' have the same name"),
        ([{"path": "a.png", "kind": "cat"}], "has no column class or .* only path, kind"),
        ([{"place": "a.png", "class": "cat"}], "has no column path or .* only place, class"),
        ([row for row in ROWS if row["class"] == "cat"], "has fewer than two classes"),
        ([row for row in ROWS if row["split"] == "test"], "has no training pictures"),
        (
            [row for row in ROWS if row["class"] == "cat" or row["split"] == "test"],
            r"no training picture of class 1 \(polar bear\)",
        ),
    ],
)
def test_wrong_rows_are_named(rows: list[dict], said: str, folder: Path) -> None:
    with pytest.raises(UserError, match=said):
        read_folder(write(folder / "a.csv", rows))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "has no rows"),
        (b"path,class\n", "has no rows"),
        (b"\xff\xfe\x00\x01", "cannot read .* UTF-8 table"),
        (b'{"path": 1\n', "line 1 of .* is not a JSON object"),
        (b'{"path": 1, "class": "cat"}\n', "missing|has fewer than two classes"),
    ],
)
def test_another_file_is_refused(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(UserError, match=said):
        read_folder(tmp_path / "a.csv")


def test_a_picture_in_two_parts_is_refused(folder: Path) -> None:
    shutil.copy(folder / ROWS[0]["path"], folder / ROWS[3]["path"])
    with pytest.raises(UserError, match=r"1 of 8 .*polar_bear/0.png = .*polar_bear/3.png"):
        read_folder(write(folder / "a.csv", ROWS))
    with pytest.raises(UserError, match="occurs twice"):
        read_folder(write(folder / "b.csv", changed(path="./" + ROWS[1]["path"])))


def test_a_row_of_too_many_cells_is_refused(folder: Path) -> None:
    file = write(folder / "a.csv", ROWS)
    file.write_text(file.read_text().replace("/1.png,cat,", "/1.png,cat, big,"))
    with pytest.raises(UserError, match=r"line 7 of .* 4 cells where the header has 3"):
        read_folder(file)
