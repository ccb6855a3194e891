"""Labeled pictures: their names, and which of them are held out."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import pytest

from tests.concepts.miniatures import make_folder
from trifocal.apps.classify.examples import class_names, find_pictures, read_examples, split
from trifocal.errors import UserError


def test_names_by_position_go_to_numbered_folders_in_natural_order(
    cases: Path, caplog: pytest.LogCaptureFixture
) -> None:
    examples = read_examples(cases / "numeric")
    assert examples.folders == tuple(map(str, range(12)))
    with caplog.at_level(logging.INFO):
        names = class_names(examples.folders, cases / "numeric_names.txt")
    assert (names[2], names[10]) == ("green circle", "green square again")
    assert "order: 0 -> red circle, 1 -> blue circle, 2 -> green circle" in caplog.text


def test_hidden_copies_are_no_examples(cases: Path, caplog: pytest.LogCaptureFixture) -> None:
    examples = read_examples(cases / "hidden")
    assert len(examples) == 16
    assert not any("ipynb" in name for name in examples.names)
    assert "4 hidden: hidden/" not in caplog.text
    assert "passed over (4 hidden: blue circle/.ipynb_checkpoints" in caplog.text


@pytest.mark.parametrize("shots", [None, 6])
def test_no_copy_of_a_fitted_picture_is_held_out(tmp_path: Path, shots: int | None) -> None:
    folder = make_folder(tmp_path, ["cat", "dog"], per_class=10)
    for number in range(10):
        shutil.copy(folder / "cat" / f"{number}.png", folder / "cat" / f"z{number}.png")
    examples = read_examples(folder)
    parts = split(examples, shots, 0.3, 1)
    fitted, held = (
        {examples.names[i].replace("z", "") for i in p} for p in (parts.fitted, parts.held_out)
    )
    assert held
    assert not fitted & held
    assert "held-out pictures are copies of fitted ones and are not measured" in parts.note
    assert {*parts.fitted} | {*parts.held_out} >= {*parts.support}


def test_folders_without_copies_are_split_as_ever(tmp_path: Path) -> None:
    examples = read_examples(make_folder(tmp_path, ["cat", "dog"], per_class=10))
    parts = split(examples, None, 0.2, 0)
    assert (len(parts.fitted), len(parts.held_out), parts.note) == (16, 4, "")


def test_names_of_wordnet_ids(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("\ufeffn01443537 goldfish\nn01440764 tench\n", "utf-8")
    assert class_names(["n01440764", "n01443537"], tmp_path / "names.txt") == ["tench", "goldfish"]


def test_labels_of_a_list_are_in_natural_order(tmp_path: Path) -> None:
    make_folder(tmp_path, ["a"], per_class=3)
    lines = [{"image": f"a/{n}.png", "label": label} for n, label in enumerate(("10", "9", "1"))]
    (tmp_path / "list.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert read_examples(tmp_path / "list.jsonl").folders == ("1", "9", "10")


def test_pictures_of_a_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    make_folder(tmp_path, ["a"], per_class=1)
    (tmp_path / "a" / "b.gif").touch()
    assert find_pictures(["~/a"]) == [str(tmp_path / "a" / "0.png")]
    with pytest.raises(UserError, match="there is no picture or folder"):
        find_pictures(["~/none"])
