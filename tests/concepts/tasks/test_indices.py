"""Draws that other repositories wrote down."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.concepts.miniatures import make_dataset
from trifocal.concepts.datasets.coop import read_dataset
from trifocal.concepts.datasets.dataset import ImageClasses, LabeledImage
from trifocal.concepts.tasks.indices import read_indices
from trifocal.concepts.tasks.sampling import Drawn, sample_few_shot
from trifocal.errors import UserError


@pytest.fixture(scope="module")
def caltech(tmp_path_factory: pytest.TempPathFactory) -> ImageClasses:
    folder = make_dataset(tmp_path_factory.mktemp("sets"), "caltech101")
    return read_dataset("caltech101", folder)


def entries(items: list[LabeledImage], prefix: str = "") -> list[dict[str, Any]]:
    """Return pictures as other machines have them."""
    root = "/home/someone/data/caltech-101/101_ObjectCategories"
    return [
        {
            f"{prefix}impath": f"{root}/{item.path}",
            f"{prefix}label": item.label,
            f"{prefix}classname": "?",
            f"{prefix}domain": "",
        }
        for item in items
    ]


def as_json(folder: Path, draw: Drawn) -> Path:
    file = folder / "shot_2-seed_1.json"
    content = {
        part: {"data": entries(items), "indices": list(range(len(items)))}
        for part, items in zip(("train", "val"), draw, strict=True)
    }
    file.write_text(json.dumps(content))
    return file


def as_lines(folder: Path, draw: Drawn) -> tuple[Path, Path]:
    files = folder / "shot_2-seed_1_train.jsonl", folder / "shot_2-seed_1_val.jsonl"
    for file, items in zip(files, draw, strict=True):
        file.write_text("".join(json.dumps(entry) + "\n" for entry in entries(items, "_")))
    return files


def test_what_was_drawn_comes_back(caltech: ImageClasses, tmp_path: Path) -> None:
    draw = sample_few_shot(caltech, 2, 1)
    assert read_indices(as_json(tmp_path, draw), caltech) == draw
    for file in as_lines(tmp_path, draw):
        assert read_indices(file, caltech) == draw


def test_windows_paths_are_found(caltech: ImageClasses, tmp_path: Path) -> None:
    draw = sample_few_shot(caltech, 1, 1)
    file = as_json(tmp_path, draw)
    file.write_text(file.read_text().replace("/home/someone", r"C:\\data").replace("/", r"\\"))
    assert read_indices(file, caltech) == draw


def test_a_pickle_is_never_opened(caltech: ImageClasses) -> None:
    with pytest.raises(UserError, match=r"is a pickle, which can run code .* sample_few_shot"):
        read_indices("split_fewshot/shot_1-seed_1.pkl", caltech)


def test_a_test_picture_is_refused(caltech: ImageClasses, tmp_path: Path) -> None:
    file = as_json(tmp_path, ([caltech.test[0]], []))
    with pytest.raises(UserError, match="is a test picture of caltech101"):
        read_indices(file, caltech)


def test_an_unknown_picture_is_named(caltech: ImageClasses, tmp_path: Path) -> None:
    file = as_json(tmp_path, ([LabeledImage("Faces/other.jpg", 0)], []))
    with pytest.raises(UserError, match=r"Faces/other.jpg is not in the training or validation"):
        read_indices(file, caltech)


def test_another_label_is_refused(caltech: ImageClasses, tmp_path: Path) -> None:
    file = as_json(tmp_path, ([LabeledImage(caltech.train[0].path, 2)], []))
    with pytest.raises(UserError, match=r"has the label 2, but 0 in caltech101"):
        read_indices(file, caltech)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.json", "{", "is not JSON"),
        ("a.json", "[]", "must hold train"),
        ("a.json", '{"train": {"data": [1]}}', "must hold train"),
        ("a.json", '{"train": {"data": [{}]}, "val": {"data": []}}', "has no impath or label"),
        ("a.jsonl", "", r"must end in _train.jsonl or _val.jsonl"),
        ("a_train.jsonl", "1\n", "line 1 of .* is not a JSON object"),
        ("a_train.jsonl", "", r"cannot read .*a_val\.jsonl"),
    ],
)
def test_another_file_is_refused(
    caltech: ImageClasses, tmp_path: Path, name: str, text: str, said: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=said):
        read_indices(tmp_path / name, caltech)


def test_a_missing_file_is_named(caltech: ImageClasses, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot read .*x\.json"):
        read_indices(tmp_path / "x.json", caltech)
