"""Terminals without Unicode, file names that are no text, and paths that a shell leaves alone."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests import forked
from trifocal import config
from trifocal.apps.eval.command import _names
from trifocal.cli import _at_home

ASCII = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "OMP_NUM_THREADS": "1"}


def trifocal(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "trifocal", *words]
    return forked.run(command, env={**os.environ, **ASCII})


def test_lists_on_an_ascii_terminal() -> None:
    done = trifocal("list", "methods")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.isascii()
    assert "fsc_clip" in done.stdout


def test_an_interpreter_that_begins_in_ascii() -> None:
    command = [sys.executable, "-m", "trifocal", "--help"]
    done = subprocess.run(command, env={**os.environ, **ASCII}, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.isascii()
    assert "explain" in done.stdout


@pytest.mark.slow
def test_a_table_and_files_of_names_that_are_no_text(tmp_path: Path) -> None:
    for number, name in enumerate((b"caf\xe9", b"bar")):
        for n in range(4):
            file = tmp_path / "set" / os.fsdecode(name) / os.fsdecode(b"\xe9%d.png" % n)
            file.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.random.default_rng(10 * number + n).integers(0, 256, (64, 64, 3), np.uint8)
            Image.fromarray(pixels).save(file)
    (tmp_path / "set" / "bar" / ".hidden.png").touch()
    root, out = str(tmp_path / "set"), tmp_path / "rows.jsonl"
    done = trifocal("eval", "builtin", "zero_shot", "--root", root, "--out", str(out))
    assert done.returncode == 0, done.stderr
    assert "acc1" in done.stdout
    assert "8 entries read, 8 used, passed over (1 hidden: bar/.hidden.png)" in done.stderr
    row = json.loads(out.read_text().splitlines()[0])
    assert row["account"]["used"] == 8
    done = trifocal("classify", "fit", root, "--out", str(tmp_path / "head"))
    assert done.returncode == 0, done.stderr


def test_a_path_with_commas_is_one_model(tmp_path: Path) -> None:
    def named(model: str) -> list[str]:
        return _names(argparse.Namespace(model=model, base=None, interpolate=None))

    (tmp_path / "a,b").mkdir()
    assert named(f"{tmp_path}/a,b") == [f"{tmp_path}/a,b"]
    assert named(f"{tmp_path}/a,builtin") == [f"{tmp_path}/a", "builtin"]


def test_home_is_found_where_no_shell_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert _at_home("--root=~/x") == "--root=/home/me/x"
    assert _at_home("builtin,~/run") == "builtin,/home/me/run"
    assert _at_home("a.tar::~/b.tar") == "a.tar::/home/me/b.tar"
    assert [_at_home(word) for word in ("a~/b", "about ~/x", "--x=~", "~")] == [
        "a~/b", "about ~/x", "--x=~", "~",
    ]  # fmt: skip
    (tmp_path / "a.yaml").write_text("\ufeffdata: {path: ~/x, images: [~/y, a~/z], none: ~}\n")
    found = config.read_yaml(tmp_path / "a.yaml")
    assert found == {"data": {"path": "/home/me/x", "images": ["/home/me/y", "a~/z"], "none": None}}
