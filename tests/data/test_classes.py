"""Class folders, their pictures, their names, and prompts around these."""

from __future__ import annotations

from pathlib import Path

import pytest

from trifocal.data.classes import class_folders, pictures, prompts, readable
from trifocal.errors import UserError
from trifocal.tally import Tally

TEMPLATES = ["a photo of a {c}.", "an image of {}", "{c}"]


def test_both_placeholders_are_filled() -> None:
    assert prompts("cat", TEMPLATES) == ["a photo of a cat.", "an image of cat", "cat"]


def test_braces_in_a_name_are_left_alone() -> None:
    assert prompts("{x} {c} {}", ["a {c}", "the {}"]) == ["a {x} {c} {}", "the {x} {c} {}"]


def test_a_template_without_a_place_is_refused() -> None:
    with pytest.raises(UserError, match="'a photo' has no place"):
        prompts("cat", ["a photo"])


@pytest.mark.parametrize(
    ("folder", "words"),
    [
        ("AnnualCrop", "Annual Crop"),
        ("annual_crop", "annual crop"),
        ("polka-dotted", "polka dotted"),
        ("2012_Audi  TTS", "2012 Audi TTS"),
        ("HerbaceousVegetation", "Herbaceous Vegetation"),
        ("017.Cardinal_x", "017.Cardinal x"),
        ("SUV", "SUV"),
    ],
)
def test_names_become_words(folder: str, words: str) -> None:
    assert readable(folder) == words


def test_folders_and_pictures(tmp_path: Path) -> None:
    for path in ("b/1.PNG", "b/deep/er/2.webp", "b/3.gif", "b/.4.png", "a/5.jpeg", "_x/6.png"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    assert [folder.name for folder in class_folders(tmp_path)] == ["a", "b"]
    found = [path.relative_to(tmp_path / "b").as_posix() for path in pictures(tmp_path / "b")]
    assert found == ["1.PNG", "deep/er/2.webp"]
    assert class_folders(tmp_path / "absent") == []


def make(folder: Path, *paths: str) -> None:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch()


def names(folder: Path, tally: Tally | None = None) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in pictures(folder, tally)]


def test_numbers_count_as_people_count(tmp_path: Path) -> None:
    make(tmp_path, *(f"{name}/a.png" for name in ("10", "2", "1", "class_10", "class_2", "a", "0")))
    found = [folder.name for folder in class_folders(tmp_path)]
    assert found == ["0", "1", "2", "10", "a", "class_2", "class_10"]


def test_what_is_hidden_is_said(tmp_path: Path) -> None:
    make(
        tmp_path,
        *("a/1.png", "a/.ipynb_checkpoints/1-checkpoint.png", "a/._1.png", "a/__MACOSX/2.png"),
        *("a/@eaDir/1.png", "a/Thumbs.db", "a/.DS_Store", ".b/1.png", "_c/1.png", "@eaDir/1.png"),
    )
    tally = Tally("")
    assert [folder.name for folder in class_folders(tmp_path, tally)] == ["a"]
    assert names(tmp_path / "a", tally) == ["1.png"]
    assert sorted(tally.aside["hidden"]) == [
        ".b", "@eaDir", "_c",
        "a/.DS_Store", "a/._1.png", "a/.ipynb_checkpoints", "a/@eaDir", "a/__MACOSX",
    ]  # fmt: skip
    assert not tally.left_out


def test_kinds_that_are_not_read_are_named(tmp_path: Path) -> None:
    make(tmp_path, *(f"a/1.{kind}" for kind in ("jfif", "JPE", "jpg", "gif", "TIFF", "bmp", "txt")))
    tally = Tally("")
    assert names(tmp_path / "a", tally) == ["1.JPE", "1.jfif", "1.jpg"]
    assert sorted(place for found in tally.reasons.values() for place in found) == [
        "a/1.TIFF", "a/1.bmp", "a/1.gif",
    ]  # fmt: skip
    assert "of the kind .gif, which is not read (save as PNG or JPEG)" in tally.reasons


def test_linked_folders_are_followed_once(tmp_path: Path) -> None:
    make(tmp_path, "a/1.png", "a/b/2.png", "else/3.png", "c/4.png")
    (tmp_path / "a" / "again").symlink_to(tmp_path / "a")
    (tmp_path / "a" / "0b").symlink_to(tmp_path / "a" / "b")
    (tmp_path / "a" / "out").symlink_to(tmp_path / "else")
    (tmp_path / "a" / "out2").symlink_to(tmp_path / "else")
    assert names(tmp_path / "a") == ["1.png", "b/2.png", "out/3.png"]
    (tmp_path / "d").symlink_to(tmp_path / "c")
    with pytest.raises(UserError, match=r"/c and .*/d are the same folder"):
        class_folders(tmp_path)
