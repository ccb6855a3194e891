"""MATLAB files: as SciPy reads them, and refused where SciPy crashes."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from tests.fuzz.mutate import bytes_changed
from trifocal.concepts.datasets.mat_files import read_variable
from trifocal.errors import UserError

NOTES = np.array([(1, "a.jpg"), (196, "béc.jpg")], [("class", "u1"), ("fname", "U9")])
VARIABLES: dict[str, Any] = {
    "labels": np.arange(300)[None] % 102,
    "shares": np.array([[0.5, 2.0], [-1.0, 4.0]]),
    "names": np.array(["Audi TTS 2012", "ü", ""], dtype=object),
    "notes": NOTES,
    "text": "a word",
    "nothing": np.zeros((0, 3)),
}


@pytest.fixture(params=[False, True], ids=["plain", "compressed"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    savemat(tmp_path / "a.mat", VARIABLES, do_compression=request.param)
    return tmp_path / "a.mat"


def test_equals_scipy(file: Path) -> None:
    theirs = loadmat(str(file), squeeze_me=True)
    for name in ("labels", "shares", "nothing"):
        assert read_variable(file, name).tolist() == theirs[name].ravel("F").tolist()
    assert read_variable(file, "text") == str(theirs["text"])
    assert read_variable(file, "names")[:2] == theirs["names"].tolist()[:2]
    found = [(int(one["class"][0]), one["fname"]) for one in read_variable(file, "notes")]
    assert found == [(int(one["class"]), str(one["fname"])) for one in theirs["notes"]]


def test_another_byte_order(tmp_path: Path) -> None:
    """No program here writes one: the tags of a number's file are turned by hand."""
    savemat(tmp_path / "a.mat", {"x": np.array([[7]], dtype=np.uint8)})
    content = (tmp_path / "a.mat").read_bytes()
    words = np.frombuffer(content[128:], "<u4").byteswap()
    body = bytearray(words.tobytes())
    at = content[128:].index(b"x")
    body[at : at + 1], body[at + 3 : at + 4] = b"x", b"\0"
    value = content[128:].rindex(b"\x07")
    body[value : value + 4] = b"\x07\0\0\0"
    (tmp_path / "b.mat").write_bytes(content[:124] + b"\x01\x00MI" + bytes(body))
    assert read_variable(tmp_path / "b.mat", "x").tolist() == [7]


def test_damaged_files_are_refused_or_read(file: Path) -> None:
    content, rng, refused = file.read_bytes(), Random(0), 0
    for _ in range(300):
        file.write_bytes(bytes_changed(content, rng))
        for name in ("labels", "names", "notes"):
            try:
                read_variable(file, name)
            except UserError:
                refused += 1
    assert refused > 100


@pytest.mark.parametrize("content", [b"", b"x" * 200, b"\0" * 126 + b"IM" + b"\xff" * 64])
def test_what_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.mat").write_bytes(content)
    with pytest.raises(UserError, match=r"cannot read 'x' of .*get it again"):
        read_variable(tmp_path / "a.mat", "x")
