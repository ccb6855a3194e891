"""Classes: names and templates, tables, split files, and the annotation files of data sets."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import savemat

from tests.fuzz.reader import Reader, Seed, lines
from tests.fuzz.readers.pictures import picture
from trifocal.apps.classify.examples import Examples, class_names, read_examples
from trifocal.concepts.datasets.class_table import read_class_table
from trifocal.concepts.datasets.coop import read_dataset
from trifocal.concepts.datasets.dataset import ImageClasses
from trifocal.concepts.datasets.fgvc import read_variants
from trifocal.concepts.datasets.imagenet import read_classnames
from trifocal.concepts.datasets.raw_splits import RAW_SPLITS
from trifocal.concepts.datasets.split_files import Split, read_split
from trifocal.concepts.tasks.sources import _classnames
from trifocal.concepts.vocabulary import load_vocabulary
from trifocal.evaluate.benchmarks.zero_shot import ClassItems, ZeroShot

_CLASSES = {"cat": 0, "dog": 1}
_PHOTOS = {
    f"{name}/{number}.png": picture(size=(8, 6 + number + 3 * label))
    for name, label in _CLASSES.items()
    for number in range(2)
}
_ENTRIES = [[path, _CLASSES[path.partition("/")[0]], path.partition("/")[0]] for path in _PHOTOS]
_SPLIT = json.dumps({"train": _ENTRIES[::2], "val": [], "test": _ENTRIES[1::2]}).encode()


def _check_split(split: Split) -> None:
    assert len(split.classnames) > 1
    items = [*split.train, *split.val, *split.test]
    assert all(0 <= item.label < len(split.classnames) for item in items)
    assert all(item.path for item in items)


def _tables() -> list[Seed]:
    csv = b"path,class,split\ncat/0.png,cat,train\ndog/0.png,dog,train\ncat/1.png,cat,test\n"
    numbers = b"image\tlabel\ncat/0.png\t0\ndog/0.png\t1\n"
    jsonl = lines(
        {"path": "cat/0.png", "class": "cat", "label": 0},
        {"path": "dog/0.png", "class": "dog", "label": "1"},
    )
    files = {"t.csv": csv, "t.tsv": numbers, "t.jsonl": jsonl}
    return [Seed({name: content}, _PHOTOS) for name, content in files.items()]


def _read_table(file: Path) -> Split:
    return read_class_table(file, val=0.0, test=0.5, seed=1, most_left_out=1.0)[1]


def _named() -> list[Seed]:
    named = {"cat": "tabby cat", "dog": "hound"}
    return [
        Seed({"n.txt": b"tabby cat\nhound\n"}),
        Seed({"n.txt": b"n01440764 tabby cat\nn01443537 hound\n"}),
        Seed({"n.json": json.dumps(named).encode()}),
        Seed({"n.json": json.dumps(list(named.values())).encode()}),
    ]


def _read_names(file: Path) -> list[str]:
    wnids = file.suffix == ".txt" and file.read_bytes().startswith(b"n0")
    return class_names(["n01440764", "n01443537"] if wnids else ["cat", "dog"], file)


def _texts(least: int, of: Callable[[Any], Any] = lambda found: found) -> Callable[[Any], None]:
    def check(found: Any) -> None:
        texts = of(found)
        assert len(texts) >= least
        assert all(isinstance(text, str) and text.strip() for text in texts)

    return check


def _zero_shot() -> list[Seed]:
    templates = {"t.json": json.dumps({"0": ["a {c}.", "the {c}"], "other": ["{}"]}).encode()}
    texts = {"classnames.txt": b"cat\ndog\n", "templates.txt": b"a {c}.\nthe {}\n"}
    mapping = {"classnames.json": json.dumps({"cat": "tabby", "dog": "hound"}).encode()}
    return [
        Seed({"classnames.txt": texts["classnames.txt"], **templates}, _PHOTOS),
        Seed({**mapping, "templates.txt": texts["templates.txt"]}, _PHOTOS),
    ]


def _read_zero_shot(file: Path) -> ClassItems:
    folder = file.parent
    templates = next(folder.glob("t*.*"))
    return ZeroShot(classnames=str(file), templates=str(templates), dataset="0").items(folder)


def _check_items(found: ClassItems) -> None:
    assert len(found) == len(_PHOTOS)
    assert all(isinstance(name, str) for name in found.classnames)


def _mat(**variables: Any) -> bytes:
    file = io.BytesIO()
    savemat(file, variables)
    return file.getvalue()


def _cars(count: int) -> bytes:
    kinds = [("class", "u1"), ("fname", "U9")]
    return _mat(annotations=np.array([(1 + n % 2, f"{n:05d}.jpg") for n in range(count)], kinds))


def _raw(name: str) -> list[Seed]:
    """Return the annotation files of a data set; the first marks its folder."""
    pets = b"#Image CLASS-ID SPECIES BREED ID\nAbyssinian_1 1 1 1\nbeagle_2 2 2 1\n"
    flowers = {
        "imagelabels.mat": _mat(labels=np.array([[1, 2, 1, 2]])),
        "cat_to_name.json": json.dumps({"1": "rose", "2": "lily"}).encode(),
    }
    meta = _mat(class_names=np.array(["Audi TTS 2012", "BMW X5 2007"], dtype=object))
    cars = {
        "devkit/cars_meta.mat": meta,
        "devkit/cars_train_annos.mat": _cars(4),
        "cars_test_annos_withlabels.mat": _cars(2).replace(b"0.jpg", b"9.jpg"),
    }
    sun = {
        "ClassName.txt": b"/a/abbey\n/b/bakery/shop\n",
        "Training_01.txt": b"/a/abbey/1.jpg\n/b/bakery/shop/1.jpg\n",
        "Testing_01.txt": b"/a/abbey/2.jpg\n",
    }
    ucf = {
        "ucfTrainTestlist/classInd.txt": b"1 ApplyEyeMakeup\n2 Archery\n",
        "ucfTrainTestlist/trainlist01.txt": b"ApplyEyeMakeup/v_1.avi 1\nArchery/v_1.avi 2\n",
        "ucfTrainTestlist/testlist01.txt": b"Archery/v_2.avi\n",
    }
    files = {
        "oxford_pets": {
            "annotations/trainval.txt": pets,
            "annotations/test.txt": pets.replace(b"_1", b"_3").replace(b"_2", b"_4"),
        },
        "oxford_flowers": flowers,
        "stanford_cars": cars,
        "sun397": sun,
        "ucf101": ucf,
    }[name]
    return [Seed({"here.txt": b"", **files}, changes=tuple(files))]


def _raw_reader(name: str) -> Reader:
    return Reader(lambda: _raw(name), lambda file: RAW_SPLITS[name].read(file.parent), _check_split)


def _aircraft() -> list[Seed]:
    parts = {"train": b"01 A-1\n02 B-2\n", "val": b"03 A-1\n", "test": b"04 B-2\n"}
    images = {f"images_variant_{part}.txt": content for part, content in parts.items()}
    return [Seed({"variants.txt": b"A-1\nB-2\n", **images})]


def _read_dtd(file: Path) -> ImageClasses:
    return read_dataset("dtd", file.parent, missing="skip")


def _dtd() -> list[Seed]:
    photos = {f"images/{path}": content for path, content in _PHOTOS.items()}
    return [Seed({"split_zhou_DescribableTextures.json": _SPLIT}, photos)]


def _labeled() -> list[Seed]:
    entries = [{"image": path, "label": name} for path, _, name in _ENTRIES]
    boxed = [{**one, "boxes": [[1, 1, 4, 3]], "id": n} for n, one in enumerate(entries)]
    return [Seed({"l.jsonl": lines(*one)}, _PHOTOS) for one in (entries, boxed)]


def _check_examples(found: Examples) -> None:
    assert len(found.regions) == len(found.labels) == len(found.names)
    assert all(0 <= label < len(found.folders) for label in found.labels)


def _vocabularies() -> list[Seed]:
    words = b"# concepts\nred\tcolor\nstriped\tpattern\nlong neck\n"
    return [Seed({"v.txt": words}), Seed({"v.json": b'["red", "striped", "long neck"]'})]


READERS: dict[str, Reader] = {
    "class tables": Reader(_tables, _read_table, _check_split),
    "class names": Reader(_named, _read_names, _texts(2)),
    "class names and templates": Reader(_zero_shot, _read_zero_shot, _check_items),
    "class names of features": Reader(
        lambda: [Seed({"n.json": b'["cat", "dog"]'}), Seed({"n.json": _SPLIT})], _classnames
    ),
    "split files": Reader(lambda: [Seed({"s.json": _SPLIT})], read_split, _check_split),
    "data sets": Reader(_dtd, _read_dtd),
    "fgvc_aircraft": Reader(_aircraft, lambda file: read_variants(file.parent), _check_split),
    **{name: _raw_reader(name) for name in ("oxford_pets", "sun397", "ucf101")},
    **{name: _raw_reader(name) for name in ("oxford_flowers", "stanford_cars")},
    "imagenet names": Reader(
        lambda: [Seed({"classnames.txt": b"n01440764 tench\nn01443537 goldfish\n"})],
        read_classnames,
        _texts(2, lambda found: list(found.values())),
    ),
    "labeled lists": Reader(_labeled, read_examples, _check_examples),
    "vocabularies": Reader(
        _vocabularies,
        load_vocabulary,
        _texts(2, lambda found: found.names),
    ),
}
