"""Class folders, their pictures, their names, and prompts around these."""

from __future__ import annotations

from pathlib import Path

import pytest

from trifocal.data.classes import class_folders, pictures, prompts, readable
from trifocal.errors import UserError

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
