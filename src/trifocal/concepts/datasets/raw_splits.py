"""Splits of the CoOp data sets from their own annotation files, where CoOp's split file is missing.

They follow CoOp's rules (Zhou et al., arXiv 2109.01134: 50/20/30 % a class, or 20 % of the official
training part for validation), but what is drawn at random cannot equal the published splits.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trifocal.concepts.datasets.dataset import LabeledImage
from trifocal.concepts.datasets.mat_files import read_variable
from trifocal.concepts.datasets.parts import VAL, divide
from trifocal.concepts.datasets.split_files import Entry, Split, make_split
from trifocal.concepts.prompts import CLASSNAMES
from trifocal.data.classes import class_folders, pictures
from trifocal.errors import UserError

_NOT_OURS = {"BACKGROUND_Google", "Faces_easy"}  # of Caltech101; CoOp leaves them out


@dataclass(frozen=True)
class RawSplit:
    """How a data set is split from its own files."""

    read: Callable[[Path], Split]  # takes the data set's folder
    files: tuple[str, ...] = ()  # what it reads there, apart from pictures


def class_folder_split(folder: Path, dataset: str) -> Split:
    """Split class folders: 50 % of a class for training, 20 % for validation, 30 % for test."""
    folders = [path for path in class_folders(folder) if path.name not in _NOT_OURS]
    renamed = CLASSNAMES.get(dataset, {})
    entries = [
        (path.relative_to(folder).as_posix(), label, renamed.get(one.name, one.name))
        for label, one in enumerate(folders)
        for path in pictures(one)
    ]
    return _divided(entries, str(folder))


def pets(folder: Path) -> Split:
    """Split Oxford Pets by its lists, whose lines are "name class species breed"."""

    def entries(file: str) -> list[Entry]:
        found = []
        for name, number, *_ in _lines(folder / "annotations" / file, 2):
            breed = name.rpartition("_")[0].lower()  # "Abyssinian_100"
            found.append((f"{name}.jpg", _integer(number, file) - 1, breed))
        return found

    return _held_out(entries("trainval.txt"), entries("test.txt"), "annotations/trainval.txt")


def flowers(folder: Path) -> Split:
    """Split Oxford Flowers: labels in a .mat file, names in a JSON, both counting from 1."""
    labels = read_variable(folder / "imagelabels.mat", "labels")
    if not isinstance(labels, np.ndarray):
        raise UserError(f"{folder / 'imagelabels.mat'} has labels that are no numbers.")
    try:
        names = json.loads((folder / "cat_to_name.json").read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"cannot read {folder / 'cat_to_name.json'} ({error}).") from None
    if not isinstance(names, dict):
        raise UserError(f"{folder / 'cat_to_name.json'} is no table of names; get it again.")
    entries = [
        (f"image_{number:05d}.jpg", int(label) - 1, names.get(str(label)))
        for number, label in enumerate(labels.tolist(), start=1)
    ]
    return _divided(entries, "imagelabels.mat")


def cars(folder: Path) -> Split:
    """Split Stanford Cars; in its names the year moves to the front."""
    listed = read_variable(folder / "devkit" / "cars_meta.mat", "class_names")
    if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
        raise UserError(f"{folder / 'devkit' / 'cars_meta.mat'} has class_names that are no texts.")
    names = [_year_first(name) for name in listed]

    def entries(file: str, images: str) -> list[Entry]:
        found = []
        for note in read_variable(folder / file, "annotations"):
            label, picture = _car(note, folder / file)
            if not 0 <= label < len(names):
                raise UserError(f"{file} has a class {label + 1}, but there are {len(names)}.")
            found.append((f"{images}/{picture}", label, names[label]))
        return found

    train = entries("devkit/cars_train_annos.mat", "cars_train")
    test = entries("cars_test_annos_withlabels.mat", "cars_test")
    return _held_out(train, test, "devkit/cars_train_annos.mat")


def sun(folder: Path) -> Split:
    """Split SUN397 by its first partition; "/b/bakery/shop" is the class "shop bakery"."""
    labels = {line[0]: label for label, line in enumerate(_lines(folder / "ClassName.txt", 1, " "))}

    def entries(file: str) -> list[Entry]:
        found = []
        for path, *_ in _lines(folder / file, 1):
            place = path.rpartition("/")[0]
            if place not in labels:
                raise UserError(f"{file}: ClassName.txt has no class {place!r}; get it again.")
            words = place.strip("/").split("/")[1:]
            found.append((path.lstrip("/"), labels[place], " ".join(reversed(words))))
        return found

    return _held_out(entries("Training_01.txt"), entries("Testing_01.txt"), "Training_01.txt")


def ucf(folder: Path) -> Split:
    """Split UCF101 by its first lists; a video stands for its middle frame."""
    lists = folder / "ucfTrainTestlist"
    labels = {
        name: _integer(number, "classInd.txt") - 1
        for number, name, *_ in _lines(lists / "classInd.txt", 2)
    }

    def entries(file: str) -> list[Entry]:
        found = []
        for video, *_ in _lines(lists / file, 1):
            action, _, name = video.partition("/")
            if action not in labels:
                raise UserError(f"{file}: classInd.txt has no class {action!r}; get it again.")
            words = "_".join(re.findall("[A-Z][^A-Z]*", action))
            found.append((f"{words}/{Path(name).stem}.jpg", labels[action], words))
        return found

    train, test = entries("trainlist01.txt"), entries("testlist01.txt")
    return _held_out(train, test, "trainlist01.txt")


RAW_SPLITS: dict[str, RawSplit] = {
    "caltech101": RawSplit(lambda f: class_folder_split(f / "101_ObjectCategories", "caltech101")),
    "oxford_pets": RawSplit(pets, ("annotations/trainval.txt", "annotations/test.txt")),
    "stanford_cars": RawSplit(
        cars,
        (
            "devkit/cars_meta.mat",
            "devkit/cars_train_annos.mat",
            "cars_test_annos_withlabels.mat",
        ),
    ),
    "oxford_flowers": RawSplit(flowers, ("imagelabels.mat", "cat_to_name.json")),
    "food101": RawSplit(lambda f: class_folder_split(f / "images", "food101")),
    "sun397": RawSplit(sun, ("ClassName.txt", "Training_01.txt", "Testing_01.txt")),
    "dtd": RawSplit(lambda f: class_folder_split(f / "images", "dtd")),
    "eurosat": RawSplit(lambda f: class_folder_split(f / "2750", "eurosat")),
    "ucf101": RawSplit(
        ucf,
        (
            "ucfTrainTestlist/classInd.txt",
            "ucfTrainTestlist/trainlist01.txt",
            "ucfTrainTestlist/testlist01.txt",
        ),
    ),
}


def _divided(entries: Iterable[Entry], source: str) -> Split:
    """Check entries and divide them 50/20/30 % class by class."""
    whole = make_split({"train": entries}, source)
    return Split(whole.classnames, *divide(whole.train))


def _held_out(train: Iterable[Entry], test: Iterable[Entry], source: str) -> Split:
    """Check entries and take 20 % of each class of the training part for validation."""
    whole = make_split({"train": train, "test": test}, source)
    kept, val, _ = divide(whole.train, val=VAL, test=0)
    return Split(whole.classnames, kept, val, list[LabeledImage](whole.test))


def _lines(file: Path, least: int, separator: str | None = None) -> list[list[str]]:
    """Return the fields of each line that is not empty or a "#" comment."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {file} ({error}); get it again.") from None
    lines = []
    for number, line in enumerate(text.splitlines(), start=1):
        fields = line.split(separator)
        if not line.strip() or line.startswith("#"):
            continue
        if len(fields) < least:
            raise UserError(f"line {number} of {file} has fewer than {least} fields ({line!r}).")
        lines.append(fields)
    return lines


def _integer(text: str, file: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise UserError(f"{file}: {text!r} is not the number of a class.") from None


def _car(note: Any, file: Path) -> tuple[int, str]:
    """Return label and picture of an entry of Stanford Cars."""
    held = note if isinstance(note, dict) else {}
    number, picture = held.get("class"), held.get("fname")
    if not isinstance(number, np.ndarray) or number.size != 1 or not isinstance(picture, str):
        raise UserError(f"'annotations' of {file} has no class and fname; get it again.")
    return int(number[0]) - 1, picture


def _year_first(name: str) -> str:
    """Return "Audi TTS Coupe 2012" as "2012 Audi TTS Coupe"."""
    rest, _, year = name.rpartition(" ")
    return f"{year} {rest}"
