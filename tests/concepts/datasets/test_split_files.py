"""CoOp's split files: read, and checked entry by entry."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trifocal.concepts.datasets.dataset import LabeledImage
from trifocal.concepts.datasets.split_files import (
    Split,
    absent,
    check_names,
    make_split,
    read_split,
)
from trifocal.errors import UserError

# Classes, pictures for training, validation and test, fewest and most training pictures a class.
COUNTS = {
    "caltech101": (100, 4128, 1649, 2465, 16, 400),
    "oxford_pets": (37, 2944, 736, 3669, 74, 80),
    "stanford_cars": (196, 6509, 1635, 8041, 19, 54),
    "oxford_flowers": (102, 4093, 1633, 2463, 20, 129),
    "dtd": (47, 2820, 1128, 1692, 60, 60),
    "eurosat": (10, 13500, 5400, 8100, 1000, 1500),
    "ucf101": (101, 7639, 1898, 3783, 58, 97),
}
CAT, DOG = ["cat/1.jpg", 0, "cat"], ["dog/1.jpg", 1, "dog"]


def write(folder: Path, train: list[Any], test: list[Any] | None = None) -> Path:
    file = folder / "split_zhou_Mine.json"
    file.write_text(json.dumps({"train": train, "val": [], "test": test or []}))
    return file


@pytest.mark.parametrize("name", COUNTS)
def test_published_counts(name: str, real_split: Callable[[str], Split]) -> None:
    split = real_split(name)
    each = Counter(item.label for item in split.train).values()
    counts = (len(split.train), len(split.val), len(split.test), min(each), max(each))
    assert (len(split.classnames), *counts) == COUNTS[name]


def test_order_and_names_are_the_files(tmp_path: Path) -> None:
    split = read_split(write(tmp_path, [DOG, CAT], [["cat/2.jpg", 0, "cat"]]))
    assert split.classnames == ("cat", "dog")
    assert split.train == [LabeledImage("dog/1.jpg", 1), LabeledImage("cat/1.jpg", 0)]
    assert split.test == [LabeledImage("cat/2.jpg", 0)]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (["../x.jpg", 1, "dog"], r"entry 3 of train .* leaves the image folder"),
        (["a/../../x.jpg", 1, "dog"], "leaves the image folder"),
        (["/etc/x.jpg", 1, "dog"], "leaves the image folder"),
        (["", 1, "dog"], "the path '' is not a text"),
        ([7, 1, "dog"], "the path 7 is not a text"),
        (["cat/1.jpg", 0, "cat"], r"'cat/1.jpg' occurs twice"),
        (["x.jpg", "1", "dog"], "the label '1' is not an integer"),
        (["x.jpg", 1.0, "dog"], "the label 1.0 is not an integer"),
        (["x.jpg", True, "dog"], "the label True is not an integer"),
        (["x.jpg", -1, "dog"], "the label -1 is not an integer"),
        (["x.jpg", 1, "wolf"], "class 1 has two names, 'dog' and 'wolf'"),
        (["x.jpg", 2, ""], "the class name '' is not a text"),
        (["x.jpg", 2, None], "the class name None is not a text"),
        (["x.jpg", 3, "emu"], "no entry of class 2, but of 3"),
        (["x.jpg", 1], r"entry 3 of train .* is not \[path, label, class name\]"),
        ("x.jpg", r"is not \[path, label, class name\]"),
    ],
)
def test_a_wrong_entry_is_named(tmp_path: Path, entry: Any, said: str) -> None:
    with pytest.raises(UserError, match=said):
        read_split(write(tmp_path, [CAT, DOG, entry]))


def test_one_picture_in_two_parts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"entry 1 of test .* occurs twice"):
        read_split(write(tmp_path, [CAT, DOG], [CAT]))


def test_a_single_class_is_refused() -> None:
    with pytest.raises(UserError, match="has fewer than two classes"):
        make_split({"train": [("a.jpg", 0, "cat")]}, "it")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is not JSON"),
        ("[]", "must hold the lists train, val and test"),
        ('{"train": [], "val": []}', "must hold the lists"),
        ('{"train": [], "val": [], "test": [], "tests": []}', "'tests'.*Did you mean 'test'"),
        ('{"train": 1, "val": [], "test": []}', "must hold the lists"),
    ],
)
def test_another_file_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(UserError, match=said):
        read_split(tmp_path / "x.json")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot read the split file .*x\.json \(No such file"):
        read_split(tmp_path / "x.json")


def test_absent_pictures(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "1.jpg").touch()
    items = [LabeledImage(p, 0) for p in ("cat/1.jpg", "cat/2.jpg", "dog/1.jpg")]
    assert absent(tmp_path, items) == ["cat/2.jpg", "dog/1.jpg"]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ((), "there is no class"),
        (("cat",), "only the class 'cat'"),
        (("cat", "dog", "Cat"), "the classes 'cat' and 'Cat' have the same name"),
        (("big cat", "big  cat"), "have the same name"),
    ],
)
def test_class_names_must_differ(names: tuple[str, ...], said: str) -> None:
    with pytest.raises(UserError, match=said):
        check_names(names, names)
