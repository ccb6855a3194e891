"""An evaluation whose data or weights are damaged: a sentence, and nothing that was measured is lost."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from trifocal.cli import main
from trifocal.clip import load_clip

EVAL = "sugarcrepe retrieval --root photos --captions captions.csv --images . --out out.jsonl"


@pytest.fixture
def measured(given: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """A folder with data, and with results of before; what these are."""
    folder = Path(shutil.copytree(given, tmp_path / "given"))
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    row = {"benchmark": "b", "task": "t", "metric": "acc", "value": 0.5, "n": 4, "model": "m"}
    Path("out.jsonl").write_text(json.dumps(row) + "\n")
    return Path("out.jsonl").read_bytes()


def refused(capsys: pytest.CaptureFixture[str], measured: bytes, model: str = "builtin") -> str:
    """Return the sentence of a command that must leave the results as they were."""
    assert main(["eval", model, *EVAL.split()]) == 2
    told = capsys.readouterr().err
    assert "Traceback" not in told
    assert Path("out.jsonl").read_bytes() == measured
    return told.strip().splitlines()[-1]


def test_a_missing_picture_is_named_before_anything_is_scored(capsys, measured):
    Path("photos/0/3.png").unlink()
    error = refused(capsys, measured)
    assert "sugarcrepe cannot run" in error
    assert "photos/0/3.png" in error
    words = EVAL.replace("sugarcrepe retrieval", "sugarcrepe").split()
    assert main(["eval", "builtin", *words[:3], *words[5:], "--available-only"]) == 0
    rows = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    assert "items, whose pictures are present" in rows[-1]["protocol"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[]", "is not a SugarCrepe file"),
        ('{"0": {"filename": "a.png", "caption": "a"}}', "is not a SugarCrepe file"),
        ("{", "is not a SugarCrepe file"),
    ],
)
def test_a_file_of_another_version_is_named(capsys, measured, content, words):
    Path("photos/swap_att.json").write_text(content)
    error = refused(capsys, measured)
    assert words in error
    assert "swap_att.json" in error


def test_a_corrupt_picture_is_named_and_may_be_left_out(capsys, measured):
    Path("photos/0/3.png").write_bytes(Path("photos/0/3.png").read_bytes()[:40])
    error = refused(capsys, measured)
    assert "1 of 24 pictures of sugarcrepe" in error
    assert "3.png" in error
    assert main(["eval", "builtin", *EVAL.split(), "--option", "most_left_out=0.1"]) == 0
    first, *rows = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    assert first == json.loads(measured)
    assert {row["account"]["unreadable"]["of"] for row in rows} == {24}


def test_weights_that_are_no_numbers_give_no_rows(capsys, measured):
    model = load_clip("builtin")
    with torch.no_grad():
        next(model.parameters()).fill_(float("nan"))
    model.save_pretrained("broken")
    error = refused(capsys, measured, "broken")
    assert "NaN" in error
