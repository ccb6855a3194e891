"""Workers of a Ray cluster embed the pictures of a score: same rows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.search.conftest import COLORS, paint
from trifocal.cli import main
from trifocal.clip import Clip, save_pretrained


@pytest.fixture
def words(tmp_path: Path, tiny_clip: Clip) -> list[str]:
    """A command that scores a model on captions of a few pictures, one of which is broken."""
    paint(tmp_path / "photos")
    (tmp_path / "photos" / "broken.png").write_bytes(b"no picture")
    pictures = sorted((tmp_path / "photos").iterdir())
    assert len(pictures) == len(COLORS) + 1
    rows = [{"image": str(file), "caption": [file.stem, f"a {file.stem}"]} for file in pictures]
    (tmp_path / "list.json").write_text(json.dumps(rows))
    save_pretrained(tiny_clip, tmp_path / "model")
    return ["eval", str(tmp_path / "model"), "retrieval", "--root", str(tmp_path / "list.json"),
            "--option", "most_left_out=0.5", "--device", "cpu"]  # fmt: skip


@pytest.mark.slow
def test_workers_give_the_same_rows(words: list[str], tmp_path: Path) -> None:
    pytest.importorskip("ray")
    assert main([*words, "--cache", str(tmp_path / "one"), "--out", str(tmp_path / "1.jsonl")]) == 0
    shared = ["--cache", str(tmp_path / "two"), "--out", str(tmp_path / "2.jsonl"), "--ray"]
    done = subprocess.run(
        [sys.executable, "-m", "trifocal", *words, *shared],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    alone, made = (
        [json.loads(line) for line in (tmp_path / f"{name}.jsonl").read_text().splitlines()]
        for name in "12"
    )
    assert [(row["metric"], row["value"], row["account"]) for row in made] == [
        (row["metric"], row["value"], row["account"]) for row in alone
    ]
    assert made[0]["account"]["unreadable"]["first"] == [str(tmp_path / "photos" / "broken.png")]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--ray", "--interpolate", "0,1"], "leave out --interpolate"),
        (["--ray", "--workers", "0"], "--workers must be at least 1"),
        (["--workers", "2"], "--workers"),
    ],
)
def test_what_workers_cannot_do(
    words: list[str], more: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, *more]) == 2
    assert told in capsys.readouterr().err
