"""Splits from the data sets' own annotations, where CoOp's file is missing."""

from __future__ import annotations

import logging
from collections import Counter
from pathlib import Path

import pytest
from scipy.io import savemat

from tests.concepts.miniatures import COOP, make_dataset
from trifocal.concepts.datasets.coop import check_dataset, read_dataset
from trifocal.concepts.datasets.raw_splits import RAW_SPLITS
from trifocal.errors import UserError

FOLDERS = ("caltech101", "dtd", "eurosat", "food101")
OWN_TEST = ("oxford_pets", "stanford_cars", "sun397", "ucf101")


@pytest.mark.parametrize("name", RAW_SPLITS)
def test_same_classes_as_the_split_file(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make_dataset(tmp_path / "with", name, per_class=10, classes=4)
    make_dataset(tmp_path / "without", name, per_class=10, classes=4, split=False)
    assert check_dataset(name, tmp_path / "without") == []
    assert not caplog.records  # to look is no reason to warn
    with caplog.at_level(logging.WARNING):
        raw = read_dataset(name, tmp_path / "without")
    assert "that is not the published split" in caplog.text
    published = read_dataset(name, tmp_path / "with")
    assert raw.classnames == published.classnames
    everything = [{*data.train, *data.val, *data.test} for data in (raw, published)]
    assert everything[0] == everything[1]
    assert read_dataset(name, tmp_path / "without") == raw


@pytest.mark.parametrize("name", [*FOLDERS, "oxford_flowers"])
def test_a_class_is_divided_50_20_30(name: str, tmp_path: Path) -> None:
    make_dataset(tmp_path, name, per_class=10, split=False)
    data = read_dataset(name, tmp_path)
    for part, count in ((data.train, 5), (data.val, 2), (data.test, 3)):
        assert Counter(item.label for item in part) == {0: count, 1: count, 2: count}


@pytest.mark.parametrize("name", OWN_TEST)
def test_the_official_test_part_is_kept(name: str, tmp_path: Path) -> None:
    make_dataset(tmp_path / "with", name, per_class=10)
    make_dataset(tmp_path / "without", name, per_class=10, split=False)
    raw, published = (read_dataset(name, tmp_path / one) for one in ("without", "with"))
    assert {*raw.test} == {*published.test}
    for part, count in ((raw.train, 5), (raw.val, 1)):  # of 6 for training, 20 % for validation
        assert Counter(item.label for item in part) == {0: count, 1: count, 2: count}


def test_two_folders_of_caltech_are_left_out(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path, "caltech101", split=False) / "101_ObjectCategories"
    for name in ("BACKGROUND_Google", "Faces_easy"):
        (folder / name).mkdir()
    assert read_dataset("caltech101", tmp_path).classnames == ("face", "leopard", "car side")


@pytest.mark.parametrize("name", [name for name in COOP if RAW_SPLITS[name].files])
def test_a_missing_annotation_file_is_told(name: str, tmp_path: Path) -> None:
    folder = make_dataset(tmp_path, name, split=False)
    for file in RAW_SPLITS[name].files:
        kept = (folder / file).read_bytes()
        (folder / file).unlink()
        [one] = check_dataset(name, tmp_path)
        assert file in one.remedy
        (folder / file).write_bytes(kept)


@pytest.mark.parametrize(
    ("name", "file", "text", "said"),
    [
        ("oxford_pets", "annotations/trainval.txt", "Abyssinian_1\n", "line 1 of .* fewer than 2"),
        ("oxford_pets", "annotations/test.txt", "pug_1 x 1 1\n", "'x' is not the number of a"),
        ("oxford_flowers", "imagelabels.mat", "no matlab", "cannot read 'labels' of"),
        ("oxford_flowers", "cat_to_name.json", "{", r"cannot read .*cat_to_name.json"),
        ("oxford_flowers", "cat_to_name.json", "{}", "the class name None is not a text"),
        ("stanford_cars", "devkit/cars_meta.mat", "", "cannot read 'class_names' of"),
        ("sun397", "Training_01.txt", "/z/zoo/1.jpg\n", "has no class '/z/zoo'"),
        ("ucf101", "ucfTrainTestlist/testlist01.txt", "Swim/v.avi\n", "has no class 'Swim'"),
        ("ucf101", "ucfTrainTestlist/classInd.txt", "one Swim\n", "'one' is not the number"),
    ],
)
def test_a_malformed_file_is_named(
    name: str, file: str, text: str, said: str, tmp_path: Path
) -> None:
    folder = make_dataset(tmp_path, name, split=False)
    (folder / file).write_text(text)
    with pytest.raises(UserError, match=said):
        read_dataset(name, tmp_path)


def test_annotations_without_the_fields_are_refused(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path, "stanford_cars", split=False)
    file = folder / "cars_test_annos_withlabels.mat"
    savemat(file, {"annotations": {"fname": ["a.jpg", "b.jpg"]}})
    with pytest.raises(UserError, match=r"'annotations' of .* has no class and fname"):
        read_dataset("stanford_cars", tmp_path)
