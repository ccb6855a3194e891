"""Tasks from pictures: which pictures are drawn, how they are averaged, what is tested on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.concepts.miniatures import make_dataset, make_folder, picture
from trifocal.clip import Clip, encode_images, load_clip
from trifocal.clip.trained_on import TrainedOn
from trifocal.concepts.datasets.coop import read_dataset
from trifocal.concepts.datasets.dataset import ImageClasses, LabeledImage
from trifocal.concepts.datasets.imagenet_shifts import ShiftedTest
from trifocal.concepts.prompts import class_text
from trifocal.concepts.support import Support, unit
from trifocal.concepts.tasks.picture_source import PictureSource, read_shift_folder
from trifocal.concepts.tasks.sampling import sample_few_shot
from trifocal.concepts.vocabulary import load_vocabulary
from trifocal.data.images import open_image
from trifocal.errors import UserError
from trifocal.features.identity import content_hash
from trifocal.features.in_training import NOTHING, InTraining


@pytest.fixture(scope="module")
def clip() -> Clip:
    return load_clip("builtin")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> ImageClasses:
    root = tmp_path_factory.mktemp("data")
    make_dataset(root, "caltech101", per_class=12, classes=4)
    return read_dataset("caltech101", root)


class Counting:
    """A Clip that counts the pictures it embeds."""

    def __init__(self, clip: Clip) -> None:
        self.clip, self.pictures = clip, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.clip, name)

    def image_features(self, pixels: Tensor, *, projected: bool = True) -> Tensor:
        self.pictures += len(pixels)
        return self.clip.image_features(pixels, projected=projected)


def embedded(clip: Clip, dataset: ImageClasses, items: list[LabeledImage]) -> Tensor:
    return encode_images(clip, [open_image(file) for file in dataset.files(items)])


# The order of averaging and normalizing


def test_views_are_averaged_before_they_are_normalized() -> None:
    views = torch.tensor([[[2, 0, 0], [0, 1, 0]]], dtype=torch.float64)
    support = Support(views, torch.tensor([0]), None, None, None, 1)
    expected = torch.tensor([[0.894427191, 0.447213595, 0]], dtype=torch.float64)
    assert torch.allclose(support.features, expected, atol=1e-9, rtol=0)


def test_views_come_as_they_are(clip: Clip, dataset: ImageClasses) -> None:
    task = PictureSource(dataset, clip, views=3).task(2, 1, "none")
    assert task.support.shape == (8, 3, clip.embed_dim)
    assert ((task.support.norm(dim=-1) - 1).abs() > 0.01).all()
    once = PictureSource(dataset, clip).task(2, 1, "none")
    assert once.support.shape == (8, 1, clip.embed_dim)
    assert torch.equal(task.tests["test"].features, once.tests["test"].features)


# What a task holds


def test_a_task(clip: Clip, dataset: ImageClasses) -> None:
    words = load_vocabulary(["red", "striped", "wooden"])
    task = PictureSource(dataset, clip, concepts=words).task(2, 3, "few")
    train, val = sample_few_shot(dataset, 2, 3)
    assert task.images == [one.path for one in train]
    assert task.labels.tolist() == [one.label for one in train]
    assert torch.allclose(unit(task.support[:, 0]), embedded(clip, dataset, train), atol=1e-5)
    assert task.val is not None
    assert task.val[1].tolist() == [one.label for one in val]
    assert torch.allclose(unit(task.val[0]), embedded(clip, dataset, val), atol=1e-5)
    test = task.tests["test"]
    assert test.labels.tolist() == [one.label for one in dataset.test]
    expected = embedded(clip, dataset, list(dataset.test))
    assert torch.allclose(unit(test.features), expected, atol=1e-5)
    assert task.class_text is not None
    texts = class_text(clip, dataset.classnames, dataset.templates)
    assert torch.allclose(task.class_text, texts, atol=1e-6)
    assert task.concept_text is not None
    assert task.concept_text.shape == (3, clip.embed_dim)
    assert task.concepts == words.names
    assert task.classnames == dataset.classnames
    assert (task.dataset, task.shots, task.seed, task.val_mode) == ("caltech101", 2, 3, "few")
    assert task.scale == pytest.approx(float(clip.logit_scale.detach()))
    assert task.backbone == clip.name
    assert task.projection is None


def test_validation_none_and_full(clip: Clip, dataset: ImageClasses) -> None:
    source = PictureSource(dataset, clip)
    assert source.task(1, 1, "none").val is None
    val = source.task(1, 1, "full").val
    assert val is not None
    assert val[1].tolist() == [one.label for one in dataset.val]


def test_before_the_projection(clip: Clip, dataset: ImageClasses) -> None:
    source = PictureSource(dataset, clip)
    before = source.task(1, 1, "few", before_projection=True)
    after = source.task(1, 1, "few")
    assert before.projection is not None
    for raw, projected in (
        (before.support, after.support),
        (before.tests["test"].features, after.tests["test"].features),
    ):
        assert torch.allclose(raw @ before.projection, projected, atol=1e-4)


def test_tests_are_embedded_once(clip: Clip, dataset: ImageClasses) -> None:
    model = Counting(clip)
    source = PictureSource(dataset, model)
    first = source.task(1, 1, "full")
    assert model.pictures == 4 + len(dataset.val) + len(dataset.test)
    second = source.task(2, 2, "full")
    assert model.pictures == 4 + len(dataset.val) + len(dataset.test) + 8
    assert second.tests["test"].features is first.tests["test"].features


def test_a_cache_serves_the_next_run(clip: Clip, dataset: ImageClasses, tmp_path: Path) -> None:
    first, second = Counting(clip), Counting(clip)
    task = PictureSource(dataset, first, views=2, cache=tmp_path / "c").task(2, 1, "few")
    again = PictureSource(dataset, second, views=2, cache=tmp_path / "c").task(2, 1, "few")
    assert (first.pictures > 0, second.pictures) == (True, 0)
    assert torch.equal(task.support, again.support)


def test_small_classes_are_repeated_if_so_asked(clip: Clip, dataset: ImageClasses) -> None:
    assert len(PictureSource(dataset, clip).task(10, 1, "none").labels) == 4 * 6
    assert len(PictureSource(dataset, clip, pad=True).task(10, 1, "none").labels) == 4 * 10


def test_classes_of_fewer_pictures_than_shots_are_told_of_once(
    clip: Clip, dataset: ImageClasses, caplog: pytest.LogCaptureFixture
) -> None:
    source = PictureSource(dataset, clip)
    for shots in (6, 7, 7):
        source.task(shots, 1, "none")
    told = [line for line in caplog.messages if "fewer than" in line]
    assert told == [
        "caltech101: 4 of 4 classes have fewer than 7 training pictures; all of theirs are taken"
    ]


def test_a_backbone_trained_on_classes_keeps_to_its_prompt(
    clip: Clip, dataset: ImageClasses, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clip, "conventions", {"classes": {"template": "{}."}})
    source = PictureSource(dataset, clip)
    assert source.templates == ("{}.",)
    task = source.task(1, 1, "none")
    assert task.class_text is not None
    assert torch.allclose(task.class_text, class_text(clip, dataset.classnames, ["{}."]))


# Other tests than the data set's own


def test_base_to_new(clip: Clip, dataset: ImageClasses) -> None:
    task = PictureSource(dataset, clip, base_to_new=True).task(2, 1, "few")
    train, val = sample_few_shot(dataset, 2, 1)
    assert task.images == [one.path for one in train if one.label < 2]
    assert task.classnames == dataset.classnames[:2]
    assert task.class_text is not None
    assert len(task.class_text) == 2
    assert task.val is not None
    assert task.val[1].tolist() == [one.label for one in val if one.label < 2]
    assert list(task.tests) == ["base", "new"]
    new = task.tests["new"]
    assert new.labels.tolist() == [one.label - 2 for one in dataset.test if one.label >= 2]
    assert new.new_text is not None
    names = class_text(clip, dataset.classnames[2:], dataset.templates)
    assert torch.allclose(new.new_text, names, atol=1e-6)


def test_shifted_tests(clip: Clip, dataset: ImageClasses, tmp_path: Path) -> None:
    make_folder(tmp_path / "sketch", ["emu", "car_side"], per_class=2)
    shift = read_shift_folder(tmp_path / "sketch", dataset)
    assert shift.name == "sketch"
    assert shift.candidates == (2, 3)
    whole = ShiftedTest("again", dataset.images, dataset.test)
    tests = PictureSource(dataset, clip, shifts=[shift, whole]).task(1, 1, "none").tests
    assert list(tests) == ["test", "sketch", "again"]
    assert sorted(tests["sketch"].labels.tolist()) == [2, 2, 3, 3]
    among = tests["sketch"].candidates
    assert among is not None
    assert among.tolist() == [2, 3]
    assert tests["again"].candidates is None
    assert torch.allclose(tests["again"].features, tests["test"].features, atol=1e-5)
    with pytest.raises(UserError, match="do not go together"):
        PictureSource(dataset, clip, shifts=[shift], base_to_new=True)


def test_folders_that_are_no_shift(dataset: ImageClasses, tmp_path: Path) -> None:
    make_folder(tmp_path / "sketch", ["zebra"], per_class=1)
    with pytest.raises(UserError, match="zebra is no class of caltech101"):
        read_shift_folder(tmp_path / "sketch", dataset)
    with pytest.raises(UserError, match="has no class folders"):
        read_shift_folder(tmp_path / "none", dataset)


# What cannot be done


def test_without_validation_pictures(clip: Clip, dataset: ImageClasses) -> None:
    bare = replace(dataset, val=())
    for mode in ("few", "full"):
        with pytest.raises(UserError, match="no validation pictures"):
            PictureSource(bare, clip).task(1, 1, mode)
    task = PictureSource(bare, clip, val_from="train").task(2, 1, "few")
    assert task.val is not None
    assert task.val[1].tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert task.labels.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


def test_without_test_pictures(clip: Clip, dataset: ImageClasses) -> None:
    with pytest.raises(UserError, match="no test pictures"):
        PictureSource(replace(dataset, test=()), clip).task(1, 1, "none")
    with pytest.raises(UserError, match="no validation 'some'"):
        PictureSource(dataset, clip).task(1, 1, "some")  # type: ignore[arg-type]


def test_a_bad_picture(clip: Clip, dataset: ImageClasses, tmp_path: Path) -> None:
    make_dataset(tmp_path, "caltech101", per_class=12, classes=2)
    own = read_dataset("caltech101", tmp_path)
    gone = own.images / own.test[0].path
    gone.write_bytes(b"")
    with pytest.raises(UserError, match=gone.name):
        PictureSource(own, clip).task(1, 1, "none")
    test = PictureSource(own, clip, on_bad="skip").task(1, 1, "none").tests["test"]
    assert test.labels.tolist() == [one.label for one in own.test][1:]
    assert len(test.features) == len(test.labels)
    picture(gone, 0)


class Pooled:
    """A model that offers unit vectors alone, as open_clip's do."""

    name = "pooled"

    def __init__(self, clip: Clip) -> None:
        self.preprocess, self.tokenize = clip.preprocess, clip.tokenize
        self.encode_image, self.encode_text = clip.encode_image, clip.encode_text


def test_a_model_with_pooled_features_only(clip: Clip, dataset: ImageClasses) -> None:
    source = PictureSource(dataset, Pooled(clip))
    task = source.task(1, 1, "none")
    assert torch.allclose(task.support.norm(dim=-1), torch.ones(4, 1), atol=1e-5)
    assert task.scale == 100
    with pytest.raises(UserError, match="pooled offers pooled features only"):
        source.task(1, 1, "none", before_projection=True)


def test_what_the_backbone_remembers_of_the_test_pictures(
    clip: Clip, dataset: ImageClasses, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert PictureSource(dataset, clip).task(1, 1, "none").tests["test"].training == NOTHING
    tested = dataset.files(dataset.test)
    known = TrainedOn.of(content_hash(file.read_bytes()) for file in tested[:2])
    monkeypatch.setattr(clip, "trained_on", known)
    training = PictureSource(dataset, clip).task(1, 1, "none").tests["test"].training
    assert training == InTraining(2, len(tested))
