"""Any folder of class folders as a data set."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import pytest

from tests.concepts.miniatures import make_dataset, make_folder, picture
from trifocal.concepts.datasets.coop import read_dataset
from trifocal.concepts.datasets.dataset import ImageClasses
from trifocal.concepts.datasets.folders import read_folder
from trifocal.concepts.tasks.sampling import sample_few_shot
from trifocal.errors import UserError

NAMES = ("AnnualCrop", "polar_bear", "red fox")


def sizes(data: ImageClasses) -> tuple[int, int, int]:
    return len(data.train), len(data.val), len(data.test)


def test_class_folders(tmp_path: Path) -> None:
    data = read_folder(make_folder(tmp_path / "mine", NAMES, per_class=10))
    assert data.name == "mine"
    assert data.classnames == ("Annual Crop", "polar bear", "red fox")
    assert data.templates == ("a photo of a {}.",)
    assert sizes(data) == (15, 6, 9)
    assert not {*data.train} & {*data.val} | {*data.train} & {*data.test}
    assert all(file.is_file() for file in data.files([*data.train, *data.val, *data.test]))
    assert all(item.path.startswith(NAMES[item.label] + "/") for item in data.test)
    assert len(sample_few_shot(data, 4, 1)[0]) == 12


def test_the_division_is_the_same_every_time_unless_asked(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, NAMES, per_class=10)
    assert read_folder(folder) == read_folder(str(folder))
    assert read_folder(folder, seed=2) != read_folder(folder)
    assert sizes(read_folder(folder, val=0, test=0.2)) == (24, 0, 6)
    assert sizes(read_folder(folder, val=0, test=0)) == (30, 0, 0)


def test_a_class_of_one_picture_is_for_training(tmp_path: Path) -> None:
    make_folder(tmp_path, ["cat", "dog"])
    picture(tmp_path / "emu" / "only.png", 2)
    data = read_folder(tmp_path)
    assert [item.path for item in data.train if item.label == 2] == ["emu/only.png"]


def test_nested_pictures_and_other_files(tmp_path: Path) -> None:
    make_folder(tmp_path, ["cat", "dog"], per_class=1)
    picture(tmp_path / "cat" / "2020" / "may" / "a.JPG", 0)
    picture(tmp_path / "cat" / ".b.png", 0)
    (tmp_path / "cat" / "notes.txt").touch()
    (tmp_path / "readme.md").touch()
    (tmp_path / ".cache").mkdir()
    (tmp_path / "__MACOSX").mkdir()
    data = read_folder(tmp_path, val=0, test=0)
    assert [item.path for item in data.train] == ["cat/0.png", "cat/2020/may/a.JPG", "dog/0.png"]


def test_given_parts_are_kept(tmp_path: Path) -> None:
    for part, count in (("train", 3), ("valid", 1), ("test", 2)):
        make_folder(tmp_path / part, ["cat", "dog"], per_class=count)
    data = read_folder(tmp_path)
    assert data.classnames == ("cat", "dog")
    assert sizes(data) == (6, 2, 4)
    assert data.train[0].path == "train/cat/0.png"
    assert data.val[-1].path == "valid/dog/0.png"
    assert all(file.is_file() for file in data.files(data.test))


def test_val_without_test_is_tested_on(tmp_path: Path) -> None:
    for part in ("train", "val"):
        make_folder(tmp_path / part, ["cat", "dog"], per_class=2)
    data = read_folder(tmp_path)
    assert sizes(data) == (4, 0, 4)
    assert data.test[0].path == "val/cat/0.png"


def test_train_alone_is_all_there_is_or_a_class(tmp_path: Path) -> None:
    make_folder(tmp_path / "a" / "train", ["cat", "dog"])
    assert sizes(read_folder(tmp_path / "a")) == (12, 0, 0)
    make_folder(tmp_path / "b", ["bus", "train"])
    assert read_folder(tmp_path / "b").classnames == ("bus", "train")
    make_folder(tmp_path / "c" / "train", ["steam", "diesel"])
    make_folder(tmp_path / "c", ["bus"])
    assert read_folder(tmp_path / "c").classnames == ("bus", "train")


def test_a_folder_in_coops_form(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path, "food101")
    data, known = read_folder(folder), read_dataset("food101", tmp_path)
    assert (data.images, data.classnames) == (folder / "images", known.classnames)
    assert (data.train, data.val, data.test) == (known.train, known.val, known.test)
    cars = make_dataset(tmp_path, "stanford_cars")
    assert read_folder(cars).images == cars
    (folder / "images" / "apple_pie" / "apple_pie_1.jpg").unlink()
    with pytest.raises(UserError, match=r"1 pictures of .* are missing \(first .*apple_pie_1"):
        read_folder(folder)
    (folder / "split_zhou_Other.json").write_text(json.dumps({}))
    with pytest.raises(UserError, match="has 2 split files"):
        read_folder(folder)


def test_real_photos(real_data: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        data = read_folder(real_data / "images" / "eurosat" / "2750")
    assert not caplog.records
    assert data.classnames[0] == "Annual Crop"
    assert sizes(data) == (60, 20, 40)
    caltech = read_folder(real_data / "images" / "caltech101" / "101_ObjectCategories")
    assert len(caltech.classnames) == 100
    assert sizes(caltech) == (100, 100, 100)


# --- faults -----------------------------------------------------------------------------------


def test_an_empty_class_is_named(tmp_path: Path) -> None:
    make_folder(tmp_path, NAMES)
    (tmp_path / "lynx").mkdir()
    (tmp_path / "lynx" / "a.gif").touch()
    with pytest.raises(UserError, match=r"the class folder .*lynx has no picture"):
        read_folder(tmp_path)


@pytest.mark.parametrize("pair", [("Cat", "cat"), ("class_a", "class a"), ("redFox", "red fox")])
def test_classes_with_one_name_are_refused(pair: tuple[str, str], tmp_path: Path) -> None:
    make_folder(tmp_path, pair)
    first, second = sorted(pair)
    with pytest.raises(UserError, match=f"{first!r} and {second!r} have the same name"):
        read_folder(tmp_path)


def test_what_is_no_folder_of_classes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there is no folder .*absent"):
        read_folder(tmp_path / "absent")
    with pytest.raises(UserError, match="has no class folders"):
        read_folder(tmp_path)
    picture(tmp_path / "a.png", 0)
    with pytest.raises(UserError, match="the pictures lie directly in"):
        read_folder(tmp_path)
    make_folder(tmp_path, ["cat"])
    with pytest.raises(UserError, match="only the class 'cat'; classification needs at least two"):
        read_folder(tmp_path)


def test_a_class_that_is_not_trained_is_named(tmp_path: Path) -> None:
    make_folder(tmp_path / "train", ["cat", "dog"])
    make_folder(tmp_path / "test", ["cat", "emu"])
    with pytest.raises(UserError, match=r"test/emu is a class without training pictures"):
        read_folder(tmp_path)


# --- one picture, two names -------------------------------------------------------------------


def test_copies_stay_on_one_side_of_a_division(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = make_folder(tmp_path, ["cat", "dog"], per_class=10)
    for number in range(10):
        shutil.copy(folder / "cat" / f"{number}.png", folder / "cat" / f"{number} (1).png")
    data = read_folder(folder)
    sides = [{item.path.replace(" (1)", "") for item in part} for part in (data.train, data.val)]
    sides.append({item.path.replace(" (1)", "") for item in data.test})
    assert not sides[0] & sides[1] | sides[0] & sides[2] | sides[1] & sides[2]
    assert sum(sizes(data)) == 30
    assert "10 pictures occur more than once (0 (1).png = 0.png" in caplog.text


def test_copies_of_test_pictures_are_not_trained_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for part, count in (("train", 100), ("test", 2)):
        make_folder(tmp_path / part, ["cat", "dog"], per_class=count)
    shutil.copy(tmp_path / "test" / "cat" / "1.png", tmp_path / "train" / "cat" / "copy.png")
    data = read_folder(tmp_path)
    assert sizes(data) == (200, 0, 4)
    assert "1 in two parts of the split: train/cat/copy.png = test/cat/1.png" in caplog.text
    for number in range(4):
        shutil.copy(
            tmp_path / "test" / "dog" / "0.png", tmp_path / "train" / "dog" / f"c{number}.png"
        )
    with pytest.raises(UserError, match=r"5 of 209 .*; remove them from one of the parts"):
        read_folder(tmp_path)


def test_numbers_are_in_natural_order_and_wordnet_ids_are_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make_folder(tmp_path / "a", [str(number) for number in range(12)], per_class=2)
    data = read_folder(tmp_path / "a")
    assert data.classnames == tuple(map(str, range(12)))
    make_folder(tmp_path / "b", ["n01440764", "n01443537"])
    read_folder(tmp_path / "b")
    assert "named by WordNet ids (n01440764, ...), which mean nothing in a prompt" in caplog.text


def test_pictures_that_are_not_read_are_said(tmp_path: Path) -> None:
    make_folder(tmp_path, ["cat", "dog"])
    (tmp_path / "cat" / "a.gif").touch()
    with pytest.raises(UserError, match=r"1 of 13 .* kind .gif, which is not read .*cat/a.gif"):
        read_folder(tmp_path)
