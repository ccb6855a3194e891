"""Photos that are held out are never trained on, are measured while a run goes on, and are there after it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from trifocal.cli import main
from trifocal.data.captions import CaptionData
from trifocal.errors import UserError
from trifocal.train.logs import read_lines


@pytest.fixture
def captions(tmp_path: Path) -> Path:
    """A table of 12 photos with two captions each."""
    lines = ["image,caption"]
    for number in range(12):
        Image.new("RGB", (40, 40), (20 * number, 0, 90)).save(tmp_path / f"{number}.png")
        lines += [f"{number}.png,a ball in color {number}", f"{number}.png,color {number} again"]
    file = tmp_path / "captions.csv"
    file.write_text("\n".join(lines))
    return file


def test_the_parts_share_no_photo(captions: Path) -> None:
    trained, held = CaptionData(path=str(captions), held_out=4).parts()
    assert (len(trained), len(held)) == (16, 8)
    assert not {item.image for item in trained} & {item.image for item in held}
    assert CaptionData(path=str(captions), held_out=4).parts()[1] == held
    assert len(CaptionData(path=str(captions), held_out=4).open((40, 40))) == 16
    with pytest.raises(UserError, match="more than half of the 12 photos"):
        CaptionData(path=str(captions), held_out=7).parts()


def test_they_are_measured_and_kept(
    captions: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    words = ["--method", "finetune", "--method.tuning", "text", "--data.source", "captions"]
    words += ["--data.path", str(captions), "--data.held_out", "4", "--batch_size", "8"]
    words += ["--schedule.steps", "2", "--eval_every", "1", "--workers", "0"]
    start = ["train", "fsc_clip-captions-builtin", "--output", str(tmp_path), "--name", "mine"]
    caplog.set_level("INFO")
    assert main([*start, *words]) == 0
    assert "eval_every has no effect" not in caplog.text
    run = tmp_path / "mine"
    assert (
        f"next: trifocal eval {run} retrieval --root {run / 'held_out.json'}"
        in capsys.readouterr().out
    )
    rows = [row for row in read_lines(run / "metrics.jsonl") if row["event"] == "eval"]
    assert [row["step"] for row in rows] == [0, 1, 2]
    assert 0 <= rows[0]["held_out/text_retrieval_recall@1"] <= 1
    assert "step 2: image_retrieval_recall@1" in caplog.text
    assert len(json.loads((run / "held_out.json").read_text())) == 8
    assert main(["eval", str(run), "retrieval", "--root", str(run / "held_out.json")]) == 0
    assert (run / "model").is_dir()
