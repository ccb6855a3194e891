"""Inputs that once ended in a traceback, for ever or in a crash; found by `python -m tests.fuzz`."""

from __future__ import annotations

import gzip
import json
import sqlite3
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save

from tests.fuzz.readers.models import _transformers
from tests.fuzz.readers.pictures import picture
from trifocal.apps.region_lists import read_regions
from trifocal.clip import Preprocess, Tokenizer
from trifocal.clip.open_clip_config import preprocess_of
from trifocal.composition.negatives.parse import Parse
from trifocal.composition.negatives.store import ParseStore
from trifocal.composition.negatives.table import _finished_rows
from trifocal.concepts.datasets.dataset import LabeledImage
from trifocal.concepts.datasets.raw_splits import RAW_SPLITS
from trifocal.concepts.datasets.split_files import absent
from trifocal.concepts.tasks.feature_source import FeatureFileSource
from trifocal.data.captions import CaptionItem, missing_images, read_captions
from trifocal.data.json_stream import json_list
from trifocal.data.sherlock_files import read_instances
from trifocal.errors import UserError
from trifocal.regions.benchmarks.refcoco_files import read_refcoco
from trifocal.regions.benchmarks.refs_pickle import unpickle_plain
from trifocal.regions.benchmarks.submission import NAME, check_submission
from trifocal.report.pictures import read_log
from trifocal.train.checkpoints import Checkpoints
from trifocal.train.logs import read_lines
from trifocal.train.recipe import load_recipe

DEEP = "[" * 100_000


def dumped(value: Any) -> bytes:
    return json.dumps(value).encode()


def sherlock(width: int) -> bytes:
    image = {"url": "a.png", "width": width, "height": 9}
    inputs = {"image": image, "bboxes": [[1, 1, 5, 5]], "clue": ""}
    return dumped([{"inputs": inputs, "targets": {"inference": "x"}, "instance_id": "1"}])


def features(label: int) -> bytes:
    labels = torch.tensor([0, label])
    return save({"train1": torch.rand(2, 3), "train1_label": labels})


def _with_picture(file: Path, read: Callable[[Path], Any]) -> Any:
    file.with_name("a.png").write_bytes(picture())
    return read(file)


REFUSED: dict[str, tuple[str, bytes, Callable[[Path], object], str]] = {
    "a path that is a list": (
        *("c.json", dumped({"images": [{"file_name": ["a"], "captions": ["x"]}]})),
        *(read_captions, r"photo 1 of .* has the path \['a'\]"),
    ),
    "a side of 400 digits": ("a.json", sherlock(10**400), read_instances, "no inputs.image.width"),
    "a box that is nothing in another frame": (
        "l.jsonl",
        dumped({"image": "a.png", "boxes": [[2, 4, 5e-324, 9]], "width": 99, "height": 99}),
        lambda file: _with_picture(file, read_regions)[0].region.open(),
        "has no area",
    ),
    "an infinite width": (
        "instances.json",
        b'{"images": [{"id": 1, "file_name": "a", "width": 1e999, "height": 2}]}',
        lambda file: read_refcoco(file, file, file.parent),
        "not convert float infinity|picture 1",
    ),
    "a label beyond all rows": (
        *("f.safetensors", features(2**62), FeatureFileSource),
        "has the label 4611686018427387904, but only 2 rows",
    ),
    "an id of two thousand million": (
        "tokenizer.json",
        _transformers()["tokenizer.json"].replace(b'"a":', b'"@":2147483647,"a":', 1),
        Tokenizer.load,
        "the id 2147483647",
    ),
    "gzip of another kind": (
        *("v.txt.gz", gzip.compress(b"a b\n" * 99)[:15] + b"\xff" * 20, Tokenizer.load),
        "cannot read the vocabulary",
    ),
    "merges of nothing": (
        *("v.txt.gz", gzip.compress(b"#\n" + b"xyz abc\n" * 48_894, 1), Tokenizer.load),
        "is not CLIP's vocabulary",
    ),
    "preprocessing that is a number": (
        *("p.json", b"{}", lambda file: preprocess_of(3, 8), "preprocess_cfg 3"),  # type: ignore
    ),
    "a factor of 400 digits": (
        "p.json",
        b"{}",
        lambda file: Preprocess.from_dict({"rescale_factor": 10**400}),
        "rescale_factor 1000",
    ),
    "a factor that nothing can be divided by": (
        "p.json",
        b"{}",
        lambda file: Preprocess.from_dict({"rescale_factor": 5e-324}),
        "rescale_factor 5e-324",
    ),
    "a rate of 400 digits": (
        "r.yaml",
        dumped({"name": "x", "optimizer": {"lr": 10**400}}),
        load_recipe,
        "optimizer.lr",
    ),
    "a processor that is a list": (
        *("p.json", b"{}", lambda file: Preprocess.from_dict({"image_processor_type": []})),
        "image_processor_type",
    ),
    "a checkpoint that is a list": (
        *("checkpoints/step-00000001/trainer.json", b"[]"),
        lambda file: Checkpoints(file.parents[2]).read(1),
        "trainer.json is no table",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_is_refused(tmp_path: Path, case: str) -> None:
    name, content, read, sentence = REFUSED[case]
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=sentence):
        read(tmp_path / name)


@pytest.mark.parametrize(("at", "value"), [(0, b"X"), (-6, b"\xff\xff\xff\xff")])
def test_a_damaged_zip(tmp_path: Path, at: int, value: bytes) -> None:
    """Of the right end and nothing else: its directory or its member lies elsewhere."""
    file = tmp_path / "a.zip"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.json", "[]")
    content = bytearray(file.read_bytes())
    content[at : len(content) + at + len(value) if at < 0 else at + len(value)] = value
    file.write_bytes(bytes(content))
    with pytest.raises(UserError):
        list(json_list(file))


def test_a_member_without_a_name(tmp_path: Path) -> None:
    file = tmp_path / f"{NAME}.zip"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("@", "x")
    file.write_bytes(file.read_bytes().replace(b"@", b"\0"))
    assert any("none of the leaderboard's files" in fault for fault in check_submission(file, {}))


def test_a_pickle_that_remembers_two_thousand_million_objects(tmp_path: Path) -> None:
    """It took 32 GB; as large as it says that it is, it is not."""
    file = tmp_path / "refs(unc).p"
    for content in (b"\x80\x02]r\xff\xff\xff\x7f.", b"(lp2147483647\n."):
        file.write_bytes(content)
        assert unpickle_plain(file) == []


def test_an_array_whose_header_is_no_python(tmp_path: Path) -> None:
    file = tmp_path / f"{NAME}.zip"
    header = b"{'descr': '<f4', 'shape': (3,".ljust(70) + b"\n"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(f"{NAME}/comparison.npy", b"\x93NUMPY\x01\x00" + b"\x47\x00" + header)
    (fault,) = check_submission(file, {"comparison": 3})
    assert "not an array" in fault


def test_lists_of_other_data_sets(tmp_path: Path) -> None:
    texts = {"ClassName.txt": "/a/b\n/c/d\n", "Training_01.txt": "/a/b/1.jpg more\n/c/d/2.jpg\n"}
    for name, text in {**texts, "Testing_01.txt": "/a/b/3.jpg\n"}.items():
        (tmp_path / name).write_text(text)
    split = RAW_SPLITS["sun397"].read(tmp_path)
    assert {item.path for item in [*split.train, *split.val]} == {"a/b/1.jpg", "c/d/2.jpg"}


def test_folders_that_no_disk_can_have(tmp_path: Path) -> None:
    items = [LabeledImage("\ud800/a.png", 0), LabeledImage("a\0/b.png", 0)]
    assert absent(tmp_path, items) == [item.path for item in items]
    captioned = [CaptionItem("1", f"{tmp_path}/\ud800/a.png", ("a dog",))]
    assert missing_images(captioned) == [captioned[0].image]


def test_logs_of_any_bytes(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    file.write_bytes(b'\xff\xfe\n[1]\n3\n{"step": 1, "loss": 2}\n' + DEEP.encode() + b"\n{")
    assert read_lines(file) == [{"step": 1, "loss": 2}]
    assert read_log(file) == [{"step": 1, "loss": 2}]


def test_negatives_of_an_interrupted_run(tmp_path: Path) -> None:
    file = tmp_path / "a.part"
    for line in (b"3", b'["a", 2, []]', b'["a", "b", 3]', b'["a", "b", [null]]', DEEP.encode()):
        file.write_bytes(b'["a", "b", ["c"]]\n' + line + b"\n")
        with file.open("r+b") as handle:
            assert len(_finished_rows(handle)) == 1
        assert file.read_bytes() == b'["a", "b", ["c"]]\n'


def test_parses_that_are_damaged(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not a stored parse"):
        Parse.from_json(DEEP)
    file = tmp_path / "s.db"
    with ParseStore(file) as store:
        for number in range(300):
            store.put_word(f"{number}" * 40, "x" * 400)
    content = bytearray(file.read_bytes())
    content[4096:] = np.random.default_rng(0).bytes(len(content) - 4096)
    file.write_bytes(content)
    with sqlite3.connect(file) as connection, pytest.raises(sqlite3.DatabaseError):
        connection.execute("SELECT * FROM words WHERE key = '1'").fetchall()
    with pytest.raises(UserError, match="not a store of parses"):
        ParseStore(file).get_word("1")
