"""Sources by name: data sets, folders, domains, files of features."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.concepts.miniatures import make_dataset, make_folder
from trifocal.clip import Clip, load_clip
from trifocal.concepts.tasks.sources import (
    FeatureFileSource,
    PictureSource,
    make_sources,
    read_text_spec,
)
from trifocal.errors import UserError


@pytest.fixture(scope="module")
def clip() -> Clip:
    return load_clip("builtin")


def feature_file(folder: Path) -> Path:
    file = folder / "set.safetensors"
    labels = torch.tensor([0, 1, 2])
    tensors = {"train1": torch.eye(3), "test": torch.eye(3)}
    save_file({**tensors, "train1_label": labels, "test_label": labels.clone()}, file)
    save_file({"names": torch.eye(2, 3), "others": torch.ones(1, 3)}, folder / "text.safetensors")
    (folder / "names_names.json").write_text('["Cat", "ant"]')
    (folder / "classes.json").write_text('["ant", "bee", "cat"]')
    return file


def test_a_data_set_by_name(tmp_path: Path, clip: Clip) -> None:
    make_dataset(tmp_path, "dtd", per_class=12)
    (source,) = make_sources("dtd", tmp_path, clip, views=2)
    assert isinstance(source, PictureSource)
    assert source.name == "dtd"
    assert source.templates == ("{} texture.",)
    assert source.task(1, 1, "few").support.shape == (3, 2, clip.embed_dim)


@pytest.mark.parametrize("how", ["under the root", "of its own"])
def test_a_folder_of_class_folders(tmp_path: Path, clip: Clip, how: str) -> None:
    make_folder(tmp_path / "mine", ["red_thing", "blue_thing"], per_class=8)
    name = "mine" if how == "under the root" else str(tmp_path / "mine")
    (source,) = make_sources(name, tmp_path, clip)
    task = source.task(1, 1, "few")
    assert (task.dataset, task.classnames) == ("mine", ("blue thing", "red thing"))


def test_a_folder_called_dot(tmp_path: Path, clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    make_folder(tmp_path / "mine", ["a", "b"], per_class=8)
    monkeypatch.chdir(tmp_path / "mine")
    assert make_sources(".", ".", clip)[0].name == "mine"


@pytest.mark.parametrize("name", ["pacs", "domains:PACS"])
def test_domains_are_left_out_in_turn(tmp_path: Path, clip: Clip, name: str) -> None:
    for domain in ("photo", "sketch"):
        make_folder(tmp_path / "PACS" / domain, ["dog", "cat"], per_class=5)
    sources = make_sources(name, tmp_path, clip)
    assert [source.name for source in sources] == ["pacs-photo", "pacs-sketch"]
    task = sources[1].task(2, 1, "few")
    assert all(path.startswith("photo/") for path in task.images)
    assert len(task.tests["test"].labels) == 10


def test_shifted_tests_by_folder(tmp_path: Path, clip: Clip) -> None:
    make_folder(tmp_path / "mine", ["a", "b"], per_class=8)
    make_folder(tmp_path / "noisy" / "mine", ["a", "b"], per_class=2)
    (source,) = make_sources("mine", tmp_path, clip, shifts=["noisy/mine"])
    assert list(source.task(1, 1, "none").tests) == ["test", "mine"]
    with pytest.raises(UserError, match="imagenet_a is a test of imagenet's classes"):
        make_sources("mine", tmp_path, clip, shifts=["imagenet_a"])
    with pytest.raises(UserError, match="no shifted test 'nowhere'"):
        make_sources("mine", tmp_path, clip, shifts=["nowhere"])


def test_a_feature_file(tmp_path: Path) -> None:
    feature_file(tmp_path)
    texts = f"{tmp_path / 'text.safetensors'}:names"
    (source,) = make_sources(
        "set.safetensors",
        tmp_path,
        class_text=texts,
        concept_text=f"{texts},others",
        classnames=tmp_path / "classes.json",
    )
    assert isinstance(source, FeatureFileSource)
    task = source.task(1, 1, "none")
    assert task.classnames == ("ant", "cat")
    assert task.class_text is not None
    assert task.class_text.tolist() == [[0, 1, 0], [1, 0, 0]]
    assert task.concepts == ("Cat", "ant", "others 0")
    assert task.support[:, 0].tolist() == [[1, 0, 0], [0, 0, 1]]


def test_class_names_of_a_split_file(tmp_path: Path) -> None:
    file = feature_file(tmp_path)
    split = {
        part: [[f"{part}{n}.jpg", n, "abc"[n]] for n in range(3)]
        for part in ("train", "val", "test")
    }
    (tmp_path / "split.json").write_text(json.dumps(split))
    (source,) = make_sources(str(file), tmp_path, classnames=tmp_path / "split.json")
    assert source.task(1, 1, "none").classnames == ("a", "b", "c")
    (tmp_path / "split.json").write_text('"abc"')
    with pytest.raises(UserError, match="neither a JSON list of class names nor"):
        make_sources(str(file), tmp_path, classnames=tmp_path / "split.json")
    with pytest.raises(UserError, match="cannot be read as JSON"):
        make_sources(str(file), tmp_path, classnames=tmp_path / "none.json")


def test_what_is_missing(tmp_path: Path, clip: Clip) -> None:
    with pytest.raises(UserError, match="there is no data set 'mine'"):
        make_sources("mine", tmp_path, clip)
    with pytest.raises(UserError, match="need a backbone"):
        make_sources("dtd", tmp_path)
    for spec in ("text.safetensors", ":names", "text.safetensors:"):
        with pytest.raises(UserError, match="names no text features"):
            read_text_spec(spec)


def test_pacs_photos(real_data: Path, clip: Clip) -> None:
    sources = make_sources("pacs", real_data / "images", clip)
    assert len(sources) == 4
    task = sources[0].task(2, 1, "few")
    assert task.support.shape == (14, 1, clip.embed_dim)
    assert len(task.tests["test"].labels) == 42
