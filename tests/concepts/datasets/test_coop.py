"""The eleven data sets of CoOp in their published layouts."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.concepts.miniatures import COOP, NAMES, VARIANTS, make_dataset, make_folder
from trifocal.concepts.datasets.coop import (
    DATASETS,
    check_dataset,
    find_folder,
    read_dataset,
)
from trifocal.concepts.prompts import templates
from trifocal.concepts.tasks.sampling import sample_few_shot
from trifocal.errors import UserError

KEYS = (
    "imagenet caltech101 oxford_pets stanford_cars oxford_flowers food101 fgvc_aircraft sun397 "
    "dtd eurosat ucf101"
)


def test_all_eleven_are_known() -> None:
    assert list(DATASETS) == KEYS.split()
    assert {*DATASETS} == {*NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_published_layouts(name: str, tmp_path: Path) -> None:
    folder = make_dataset(tmp_path, name)
    assert check_dataset(name, tmp_path) == []
    data = read_dataset(name, tmp_path)
    assert data.name == name
    assert data.templates == templates(name)
    assert len(data.classnames) == 3
    assert not any("_" in one for one in data.classnames)
    for part in (data.train, data.val, data.test):
        assert all(file.is_file() for file in data.files(part))
    assert {item.label for item in data.train} == {item.label for item in data.test} == {0, 1, 2}
    assert len(sample_few_shot(data, 1, 1)[0]) == 3
    assert read_dataset(name, folder) == data  # its own folder is as good as the common root


@pytest.mark.parametrize("name", COOP)
def test_parts_are_the_split_files(name: str, tmp_path: Path) -> None:
    folder = make_dataset(tmp_path, name)
    data = read_dataset(name, tmp_path)
    split = json.loads((folder / f"split_zhou_{COOP[name][2]}.json").read_text())
    for part in ("train", "val", "test"):
        got = [[item.path, item.label] for item in getattr(data, part)]
        assert got == [entry[:2] for entry in split[part]]


def test_class_names(tmp_path: Path) -> None:
    for name in ("food101", "eurosat", "fgvc_aircraft"):
        make_dataset(tmp_path, name, classes=4)
    food = read_dataset("food101", tmp_path)
    assert food.classnames == ("apple pie", "baby back ribs", "baklava", "waffles")
    eurosat = read_dataset("eurosat", tmp_path)
    assert eurosat.classnames == ("Annual Crop Land", "Forest", "Highway or Road", "Sea or Lake")
    assert read_dataset("fgvc_aircraft", tmp_path).classnames == VARIANTS


@pytest.mark.parametrize("name", NAMES)
def test_other_folder_names(name: str, tmp_path: Path) -> None:
    folder = make_dataset(tmp_path / "a", name)
    for number, alias in enumerate((*DATASETS[name].folders, name)):
        place = tmp_path / str(number) / alias
        place.parent.mkdir(parents=True)
        folder = Path(shutil.move(folder, place))
        assert find_folder(name, tmp_path / str(number)) == place
        assert read_dataset(name, tmp_path / str(number)).images.is_relative_to(place)


def test_another_protocol_has_other_prompts(tmp_path: Path) -> None:
    make_dataset(tmp_path, "imagenet")
    assert len(read_dataset("imagenet", tmp_path, protocol="taskres").templates) == 8
    assert read_dataset("imagenet", tmp_path, protocol="coop").templates == ("a photo of a {}.",)


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_folder_is_told_with_its_source(name: str, tmp_path: Path) -> None:
    [one] = check_dataset(name, tmp_path)
    assert one.path == str(tmp_path / DATASETS[name].folders[0])
    assert DATASETS[name].source in one.remedy
    with pytest.raises(UserError, match=f"{name} cannot run; .* is missing: get it from"):
        read_dataset(name, tmp_path)


@pytest.mark.parametrize("name", [name for name in COOP if COOP[name][1]])
def test_a_missing_image_folder_is_told(name: str, tmp_path: Path) -> None:
    folder = make_dataset(tmp_path, name)
    shutil.rmtree(folder / DATASETS[name].images)
    [one] = check_dataset(name, tmp_path)
    assert one.path == str(folder / DATASETS[name].images)


@pytest.mark.parametrize("name", ["oxford_pets", "sun397", "ucf101", "stanford_cars"])
def test_a_missing_split_file_is_told_with_its_source(name: str, tmp_path: Path) -> None:
    folder = make_dataset(tmp_path, name)
    (folder / f"split_zhou_{COOP[name][2]}.json").unlink()
    [one] = check_dataset(name, tmp_path)
    assert one.path == str(folder / f"split_zhou_{COOP[name][2]}.json")
    with pytest.raises(UserError, match=r"KaiyangZhou/CoOp, DATASETS.md.* of one's own"):
        read_dataset(name, tmp_path)


def test_missing_pictures_are_counted_or_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = make_dataset(tmp_path, "dtd")
    gone = sorted((folder / "images" / "banded").iterdir())[:2]
    for one in gone:
        one.unlink()
    [missing] = check_dataset("dtd", tmp_path)
    assert (missing.path, missing.count) == (str(gone[0]), 2)
    with pytest.raises(UserError, match=r"banded_1.jpg and 1 more are missing: get it from"):
        read_dataset("dtd", tmp_path)
    with caplog.at_level(logging.WARNING):
        data = read_dataset("dtd", tmp_path, missing="skip")
    assert "2 of 18 pictures are missing" in caplog.text
    assert (len(data.train), len(data.val), len(data.test)) == (7, 3, 6)
    shutil.rmtree(folder / "images")
    (folder / "images").mkdir()
    with pytest.raises(UserError, match="17 more are missing"):
        read_dataset("dtd", tmp_path, missing="skip")


def test_an_unknown_name_is_a_folder_of_ones_own_or_refused(tmp_path: Path) -> None:
    make_folder(tmp_path / "mine", ["cat", "dog"])
    assert read_dataset("mine", tmp_path).classnames == ("cat", "dog")
    with pytest.raises(UserError, match=r"no data set 'eurosatt', .* Did you mean 'eurosat'"):
        read_dataset("eurosatt", tmp_path)
    with pytest.raises(UserError, match="no data set 'mine'"):
        check_dataset("mine", tmp_path)


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("images_variant_train.txt", "0000000 Concorde\n", "has no variant 'Concorde'"),
        ("images_variant_train.txt", "../../x 707-320\n", "leaves the image folder"),
        ("variants.txt", "707-320\n", "has no variant '727-200'"),
    ],
)
def test_wrong_aircraft_files_are_refused(tmp_path: Path, file: str, text: str, said: str) -> None:
    folder = make_dataset(tmp_path, "fgvc_aircraft")
    (folder / file).write_text(text)
    with pytest.raises(UserError, match=said):
        read_dataset("fgvc_aircraft", tmp_path)


def test_missing_aircraft_files_are_named(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path, "fgvc_aircraft")
    (folder / "variants.txt").unlink()
    [one] = check_dataset("fgvc_aircraft", tmp_path)
    assert one.path == str(folder / "variants.txt")


@pytest.mark.parametrize(
    ("name", "counts"), [("eurosat", (19, 2, 99)), ("caltech101", (128, 23, 149))]
)
def test_real_photos_and_splits(
    name: str,
    counts: tuple[int, int, int],
    real_data: Path,
    split_file: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    """The photos at hand are some of those that the published split names."""
    images = DATASETS[name].images
    (tmp_path / name).mkdir()
    (tmp_path / name / images).symlink_to(real_data / "images" / name / images)
    file = split_file(name)
    (tmp_path / name / file.name).symlink_to(file)
    with pytest.raises(UserError, match="more are missing"):
        read_dataset(name, tmp_path)
    data = read_dataset(name, tmp_path, missing="skip")
    assert (len(data.train), len(data.val), len(data.test)) == counts
    assert len(data.classnames) == {"eurosat": 10, "caltech101": 100}[name]


def test_real_photos_without_a_split(real_data: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        data = read_dataset("eurosat", real_data / "images")
    assert "not the published split" in caplog.text
    assert (len(data.train), len(data.val), len(data.test)) == (60, 20, 40)
    assert data.classnames[0] == "Annual Crop Land"
    assert len(sample_few_shot(data, 4, 1)[0]) == 40
