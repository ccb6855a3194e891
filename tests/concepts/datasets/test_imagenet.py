"""ImageNet in both layouts, and its shifted test sets."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.concepts.miniatures import WNIDS, make_dataset, picture
from trifocal.concepts.datasets.coop import check_dataset, read_dataset
from trifocal.concepts.datasets.imagenet_shifts import SHIFTS, check_shift, read_shift
from trifocal.concepts.tasks.sampling import sample_few_shot
from trifocal.errors import UserError

# Labels of the classes that are in ImageNet-A and -R, from both ends.
FIRST = {
    "imagenet_a": (6, 11, 13, 15, 17, 22, 23, 27, 30, 37, 39, 42),
    "imagenet_r": (1, 2, 4, 6, 8, 9, 11, 13, 22, 23, 26, 29),
}
LAST = {"imagenet_a": (981, 984, 986, 987, 988), "imagenet_r": (967, 980, 981, 983, 988)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_dataset(tmp_path, "imagenet")


def test_the_layout_of_coop(folder: Path) -> None:
    data = read_dataset("imagenet", folder.parent)
    assert data.classnames == ("tench", "goldfish", "kite (bird of prey)")  # sorted by wnid
    assert len(data.templates) == 7
    assert (len(data.train), len(data.val), len(data.test)) == (9, 0, 9)
    assert data.train[0].path == "train/n01440764/n01440764_0.JPEG"
    assert data.test[-1].path == "val/n01608432/ILSVRC2012_val_2005.JPEG"
    assert all(file.is_file() for file in data.files([*data.train, *data.test]))


def test_the_layout_without_images(folder: Path) -> None:
    before = read_dataset("imagenet", folder)
    for part in ("train", "val"):
        shutil.move(folder / "images" / part, folder / part)
    assert check_dataset("imagenet", folder) == []
    after = read_dataset("imagenet", folder)
    assert (after.train, after.test) == (before.train, before.test)
    assert after.images == folder


def test_names_with_sh_and_hidden_files(folder: Path) -> None:
    """A well-known reader drops every file whose name holds "sh"."""
    place = folder / "images" / "train" / "n01443537"
    picture(place / "goldfish.JPEG", 1)
    picture(place / ".hidden.JPEG", 1)
    (place / "notes.txt").touch()
    paths = [item.path for item in read_dataset("imagenet", folder).train]
    assert "train/n01443537/goldfish.JPEG" in paths
    assert len(paths) == 10


def test_validation_pictures_come_from_training_where_asked(folder: Path) -> None:
    data = read_dataset("imagenet", folder)
    assert sample_few_shot(data, 1, 1)[1] == []
    train, val = sample_few_shot(data, 1, 1, val_from="train")
    assert [item.label for item in train] == [item.label for item in val] == [0, 1, 2]


def test_what_is_missing_is_named(folder: Path, tmp_path: Path) -> None:
    (folder / "classnames.txt").unlink()
    shutil.rmtree(folder / "images" / "val")
    missing = check_dataset("imagenet", tmp_path)
    assert [Path(one.path).name for one in missing] == ["val", "classnames.txt"]
    with pytest.raises(UserError, match=r"imagenet cannot run; .*image-net.org.*classnames.txt"):
        read_dataset("imagenet", tmp_path)
    [only] = check_dataset("imagenet", tmp_path / "images")
    assert only.path.endswith("imagenet")
    assert "image-net.org" in only.remedy


def test_a_class_without_folder_or_picture_or_name_is_named(folder: Path) -> None:
    place = folder / "images" / "val" / WNIDS[2]
    pictures = list(place.iterdir())
    for one in pictures:
        one.unlink()
    with pytest.raises(UserError, match=r"val/n01608432 has no picture"):
        read_dataset("imagenet", folder)
    place.rmdir()
    with pytest.raises(UserError, match=r"val/n01608432 is missing: put the class's pictures"):
        read_dataset("imagenet", folder)
    place.mkdir()
    picture(place / "a.JPEG", 2)
    picture(folder / "images" / "train" / "n99999999" / "a.JPEG", 2)
    with pytest.raises(UserError, match=r"n99999999 is a folder of no class in classnames.txt"):
        read_dataset("imagenet", folder)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("n01440764\nn01443537 goldfish\n", 'line 1 of .* is not "wnid name"'),
        ("n01440764 tench\nn01440764 carp\n", "line 2 of .* names n01440764 a second time"),
        ("n01440764 tench\n", "names fewer than two"),
    ],
)
def test_wrong_names_are_refused(folder: Path, text: str, said: str) -> None:
    (folder / "classnames.txt").write_text(text)
    with pytest.raises(UserError, match=said):
        read_dataset("imagenet", folder)


# --- shifted test sets ------------------------------------------------------------------------


def shifted(root: Path, name: str, folders: list[str]) -> Path:
    """Write a shifted test set with one picture a class."""
    place = root / SHIFTS[name].folders[0]
    for label, folder in enumerate(folders):
        picture(place / folder / f"{label}.jpg", label)
    (place / "README.txt").write_text("read me")
    return place


def thousand(root: Path) -> list[str]:
    """Write the class names of a whole ImageNet; return its wnids."""
    wnids = [f"n{i:08d}" for i in range(1000)]
    (root / "imagenet").mkdir()
    names = "".join(f"{wnid} thing {wnid}\n" for wnid in wnids)
    (root / "imagenet" / "classnames.txt").write_text(names)
    return wnids


def two_hundred(name: str) -> list[int]:
    """Return 200 labels with the ends and the sum of a shifted test set's."""
    first, last = FIRST[name], LAST[name]
    labels = list(range(first[-1] + 1, first[-1] + 1 + 200 - len(first) - len(last)))
    short = SHIFTS[name].checksum - sum(first) - sum(last) - sum(labels)
    for place in reversed(range(len(labels))):  # move labels up, the uppermost first
        most = last[0] - (len(labels) - place) - labels[place]
        labels[place] += min(most, short)
        short -= min(most, short)
    return [*first, *labels, *last]


@pytest.mark.parametrize("name", ["imagenet_a", "imagenet_r"])
def test_only_the_classes_present_compete(name: str, tmp_path: Path) -> None:
    wnids, labels = thousand(tmp_path), two_hundred(name)
    place = shifted(tmp_path, name, [wnids[i] for i in labels])
    test = read_shift(name, tmp_path)
    assert test.images == place
    assert test.candidates == tuple(labels)
    assert len(test.candidates) == 200
    assert sum(test.candidates) == SHIFTS[name].checksum
    assert [item.label for item in test.test] == labels
    assert all(file.is_file() for file in test.files)


def test_other_classes_than_published_are_refused(tmp_path: Path) -> None:
    wnids, labels = thousand(tmp_path), two_hundred("imagenet_a")
    place = shifted(tmp_path, "imagenet_a", [wnids[i] for i in labels])
    shutil.move(place / wnids[labels[0]], place / wnids[labels[0] + 1])
    with pytest.raises(UserError, match=r"has 200 classes with labels that sum to 102179, but "):
        read_shift("imagenet_a", tmp_path)
    shutil.rmtree(place / wnids[labels[0] + 1])
    with pytest.raises(UserError, match=r"has 199 classes .* unpack it again"):
        read_shift("imagenet_a", tmp_path)
    shifted(tmp_path, "imagenet_sketch", wnids[:3])
    with pytest.raises(UserError, match="has 3 classes with labels that sum to 3"):
        read_shift("imagenet_sketch", tmp_path)


def test_v2_folders_are_labels(folder: Path, tmp_path: Path) -> None:
    place = shifted(tmp_path, "imagenetv2", ["2", "0", "1"])
    test = read_shift("imagenetv2", tmp_path)
    assert [item.path for item in test.test] == ["0/1.jpg", "1/2.jpg", "2/0.jpg"]
    assert [item.label for item in test.test] == [0, 1, 2]
    assert test.candidates is None
    picture(place / "3" / "a.jpg", 3)
    with pytest.raises(UserError, match="3 is no label of 0 to 2"):
        read_shift("imagenetv2", tmp_path)


def test_labels_are_those_of_imagenet(folder: Path, tmp_path: Path) -> None:
    shifted(tmp_path, "imagenet_r", [WNIDS[2], WNIDS[1]])
    test = read_shift("imagenet_r", tmp_path)
    names = read_dataset("imagenet", tmp_path).classnames
    assert [names[item.label] for item in test.test] == ["goldfish", "kite (bird of prey)"]
    assert test.candidates == (1, 2)


def test_a_copy_of_the_names_may_lie_with_the_set(folder: Path, tmp_path: Path) -> None:
    place = shifted(tmp_path, "imagenet_r", list(WNIDS[:3]))
    shutil.move(folder / "classnames.txt", place.parent / "classnames.txt")
    assert len(read_shift("imagenet_r", tmp_path).test) == 3


def test_missing_sets_and_names_are_told(tmp_path: Path) -> None:
    for name in SHIFTS:
        [one] = check_shift(name, tmp_path)
        assert "github.com" in one.remedy
    shifted(tmp_path, "imagenet_r", list(WNIDS[:3]))
    with pytest.raises(UserError, match=r"classnames\.txt is missing: put a copy"):
        read_shift("imagenet_r", tmp_path)
    with pytest.raises(UserError, match="no shifted test set 'imagenet_s'"):
        check_shift("imagenet_s", tmp_path)
