"""What `trifocal classify` writes: in the form that a name's ending says, and over nothing else."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest

from tests.apps.classify.support import EACH, command, picture


def test_fit_into_a_classifier_says_so(
    work: Path, heads: None, capsys: pytest.CaptureFixture[str]
) -> None:
    fit = ["fit", work / "photos", "--out", work / "model", "--method", "zero-shot", "--views", "0"]
    assert command(*fit) == 2
    assert "already has content, a classifier; --force replaces it" in capsys.readouterr().err
    assert command(*fit, "--force") == 0
    (work / "model" / "support" / "holiday.jpg").write_text("mine")
    assert command(*fit, "--force") == 2
    assert "support/holiday.jpg" in capsys.readouterr().err


def test_evaluate_adds_a_row_once(
    work: Path, heads: None, capsys: pytest.CaptureFixture[str]
) -> None:
    out = work / "rows.jsonl"
    words = ["evaluate", work / "model", work / "others", "--out", out]
    assert command(*words) == 0
    before = out.read_text()
    assert command(*words) == 0
    assert out.read_text() == before
    assert "held them already" in capsys.readouterr().err
    out.write_text(before[: len(before) // 2])  # as a kill leaves it: a row is whole or made again
    assert command(*words) == 0
    kept = [json.loads(line) for line in out.read_text().splitlines()]
    assert [{**row, "seconds": 0} for row in kept] == [
        {**json.loads(line), "seconds": 0} for line in before.splitlines()
    ]


def test_predictions_are_written_as_their_name_ends(
    work: Path, heads: None, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["predict", work / "model", work / "photos", "--top", "2", "--out"]
    assert command(*words, work / "p.jsonl") == 0
    lines = [json.loads(line) for line in (work / "p.jsonl").read_text().splitlines()]
    assert command(*words, work / "p.json") == 0
    whole = json.loads((work / "p.json").read_text())
    assert whole == [{key: line[key] for key in line if key != "run"} for line in lines]
    for ending, delimiter in (("csv", ","), ("tsv", "\t")):
        out = work / f"p.{ending}"
        assert command(*words, out) == 0
        with out.open(newline="") as file:
            rows = list(csv.DictReader(file, delimiter=delimiter))
        assert len(rows) == 4 * EACH
        for row, line in zip(rows, lines, strict=True):
            assert row["image"] == line["image"]
            assert row["class"] == line["class"]
            assert float(row["probability"]) == line["probability"]
            assert row["class_2"] == line["top"][1]["class"]
        assert command(*words, out) == 2
        assert "is not replaced" in capsys.readouterr().err
    bad = work / "photos" / "broken.png"
    bad.write_bytes(picture(work).read_bytes()[:300])
    for ending in ("jsonl", "csv"):
        assert command("predict", work / "model", bad, "--out", work / f"new.{ending}") == 2
        assert not (work / f"new.{ending}").exists()
    assert not list(work.glob(".*"))


def test_pictures_are_drawn_anew_and_photos_kept(
    work: Path, heads: None, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(picture(work), work / "photo.png")
    before = (work / "photo.png").read_bytes()
    words = ["explain", work / "model", picture(work), "--out"]
    assert command(*words, work / "why.png") == 0
    assert command(*words, work / "why.png") == 0
    assert command(*words, work / "photo.png") == 2
    assert "is not replaced" in capsys.readouterr().err
    assert (work / "photo.png").read_bytes() == before
