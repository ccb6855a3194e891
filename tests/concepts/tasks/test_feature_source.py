"""Tasks from feature files: which rows are support, validation and test; real features."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from trifocal.concepts.datasets.split_files import Split
from trifocal.concepts.support import unit
from trifocal.concepts.tasks.feature_source import FeatureFileSource, named_classes
from trifocal.concepts.tasks.task import TestSet
from trifocal.errors import UserError
from trifocal.features.files import NamedFeatures, read_named_features


def rows(labels: list[int], start: float) -> Tensor:
    """Rows (n, 2): the label, and a number that no other row has."""
    serial = start + torch.arange(len(labels))
    return torch.stack([torch.tensor(labels).float(), serial], dim=1)


def write(file: Path, **labels: list[int]) -> Path:
    tensors = {}
    for number, (name, own) in enumerate(labels.items()):
        tensors[name] = rows(own, 100.0 * (number + 1))
        tensors[f"{name}_label"] = torch.tensor(own)
    save_file(tensors, file)
    return file


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(
        tmp_path / "set.safetensors",
        train1=[0, 1, 2],
        train8=[0, 1, 2] * 8,
        val=[2, 0, 1] * 6,
        test=[1, 1, 0, 2],
    )


TEXT = NamedFeatures(torch.eye(3, 2), ("ant", "bee", "cat"))


def test_a_task(file: Path) -> None:
    source = FeatureFileSource(file, class_text=TEXT, concept_text=TEXT, scale=50, backbone="x")
    task = source.task(8, 3, "none")
    assert (source.name, source.shots) == ("set", [1, 8])
    assert (task.dataset, task.shots, task.seed, task.val_mode) == ("set", 8, None, "none")
    assert (task.scale, task.backbone, task.classnames) == (50, "x", ("ant", "bee", "cat"))
    assert task.support.shape == (24, 1, 2)
    assert task.val is None
    assert task.class_text is TEXT.features
    assert task.concepts == TEXT.names
    assert task.tests["test"].labels.tolist() == [1, 1, 0, 2]
    assert FeatureFileSource(file).task(1, 1, "none").class_text is None


@pytest.mark.parametrize(("shots", "each"), [(1, 1), (8, 4)])
def test_few_validation_rows_are_the_first_of_each_class(file: Path, shots: int, each: int) -> None:
    val = FeatureFileSource(file).task(shots, 1, "few").val
    assert val is not None
    assert val[1].tolist() == [2, 0, 1] * each
    assert val[0][:, 1].tolist() == [300.0 + i for i in range(3 * each)]
    full = FeatureFileSource(file).task(shots, 1, "full").val
    assert full is not None
    assert len(full[1]) == 18


def test_classes_are_kept_in_the_stated_order(file: Path) -> None:
    text = NamedFeatures(torch.eye(2), ("c", "a"))
    source = FeatureFileSource(
        file, classes=[2, 0], class_text=text, classnames=["ant", "bee", "cat"]
    )
    task = source.task(1, 1, "full")
    assert task.classnames == ("cat", "ant")
    assert task.labels.tolist() == [1, 0]
    assert task.support[:, 0, 0].tolist() == [0, 2]
    assert task.tests["test"].labels.tolist() == [1, 0]
    assert task.val is not None
    assert task.val[1].tolist() == [0, 1] * 6


def test_without_test_rows_the_unseen_of_the_next_draw(tmp_path: Path) -> None:
    file = write(tmp_path / "set.safetensors", train1=[0, 1], train2=[0, 0, 1, 1])
    known = rows([0, 1], 100.0)
    tensors = {
        "train1": known,
        "train1_label": torch.tensor([0, 1]),
        "train2": torch.cat([known[:1], rows([0, 1, 1], 200.0)]),
        "train2_label": torch.tensor([0, 0, 1, 1]),
    }
    save_file(tensors, file)
    source = FeatureFileSource(file)
    test = source.task(1, 1, "none").tests["test"]
    assert test.labels.tolist() == [0, 1, 1]
    assert test.features[:, 1].tolist() == [200, 201, 202]
    with pytest.raises(UserError, match="no larger draw than 2 shots"):
        source.task(2, 1, "none")
    with pytest.raises(UserError, match="no validation rows"):
        source.task(1, 1, "few")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"class_text": NamedFeatures(torch.ones(3, 5))}, "has width 5"),
        ({"concept_text": NamedFeatures(torch.ones(3, 5))}, "has width 5"),
        ({"class_text": NamedFeatures(torch.ones(4, 2))}, "4 rows for 3 classes"),
        ({"classnames": ["ant", "bee", "Ant "]}, "have the same name"),
        ({"class_text": NamedFeatures(torch.ones(3, 2), ("a", "b", "a"))}, "have the same name"),
        ({"classnames": ["ant", "bee"]}, "labels up to 2, but there are 2 class names"),
        ({"classes": []}, "different labels"),
        ({"classes": [1, 1]}, "different labels"),
        ({"classes": [0, 7]}, "no row of 1 of 2 classes"),
    ],
)
def test_what_does_not_fit(file: Path, options: dict[str, object], said: str) -> None:
    with pytest.raises(UserError, match=said):
        FeatureFileSource(file, **options)  # type: ignore[arg-type]


def test_what_the_file_does_not_have(file: Path) -> None:
    source = FeatureFileSource(file)
    with pytest.raises(UserError, match="no 4 shots; it has 1, 8"):
        source.task(4, 1, "none")
    with pytest.raises(UserError, match="pooled features only"):
        source.task(1, 1, "none", before_projection=True)
    with pytest.raises(UserError, match="no validation 'some'"):
        source.task(1, 1, "some")  # type: ignore[arg-type]


def test_classes_that_a_text_file_names() -> None:
    names = (
        "seahorse",
        "octopus_(food)",
        "octopus_(animal)",
        "Cup",
        "binoculars",
        "cup",
        "giant_panda",
    )
    text = NamedFeatures(torch.arange(7.0)[:, None], names)
    classes = ["cup", "sea horse", "gramophone", "binocular", "panda", "octopus"]
    labels, found = named_classes(classes, text)
    assert labels == [0, 1, 3, 4, 5]
    assert found.names == ("cup", "seahorse", "binoculars", "giant_panda", "octopus_(animal)")
    assert found.features[:, 0].tolist() == [5, 0, 4, 6, 2]
    assert named_classes(classes, text, {})[1].names[-1] == "octopus_(food)"
    with pytest.raises(UserError, match="names 1 of 2 classes"):
        named_classes(["cup", "gramophone"], text)


# Real features


def accuracy(test: TestSet, text: Tensor) -> float:
    right = (unit(test.features) @ unit(text).T).argmax(1) == test.labels
    return 100 * float(right.double().mean())


def test_imagenet_one_shot(real_data: Path) -> None:
    folder = real_data / "features"
    text = folder / "text.safetensors"
    objects = read_named_features(text, ["lvis", "coco", "objects365", "openimages"])
    classes = read_named_features(text, ["imagenet1k"])
    source = FeatureFileSource(
        folder / "imagenet.safetensors", class_text=classes, concept_text=objects
    )
    task = source.task(1, 1, "none")
    assert task.support.shape == (1000, 1, 512)
    assert task.concept_text is not None
    assert task.concept_text.shape == (2148, 512)
    assert task.tests["test"].features.shape == (1999, 512)
    assert accuracy(task.tests["test"], classes.features) == pytest.approx(61.03, abs=0.005)


def test_caltech_classes_that_lvis_names(
    real_data: Path, real_split: Callable[[str], Split]
) -> None:
    folder = real_data / "features"
    lvis = read_named_features(folder / "text.safetensors", ["lvis"])
    names = real_split("caltech101").classnames
    labels, text = named_classes(names, lvis)
    source = FeatureFileSource(
        folder / "caltech101.safetensors", class_text=text, classes=labels, classnames=names
    )
    assert source.shots == [1, 2, 4, 8, 16]
    task = source.task(16, 1, "few")
    assert len(task.classnames) == 38
    assert task.support.shape == (608, 1, 512)
    assert task.val is not None
    assert len(task.val[1]) == 4 * 38
    assert accuracy(task.tests["test"], text.features) == pytest.approx(98.40, abs=0.005)
