"""Photos that are held out are never trained on, are measured while a run goes on, and are there after it."""

from __future__ import annotations

import json
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from trifocal import config
from trifocal.apps.train.command import _recipe
from trifocal.cli import main
from trifocal.data.captions import CaptionData
from trifocal.errors import UserError
from trifocal.recipes import shipped_recipes
from trifocal.train.begun import as_begun
from trifocal.train.checkpoints import FORMAT
from trifocal.train.logs import read_lines
from trifocal.train.recipe import load_recipe


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


def test_what_was_learned_is_asked_of_them(
    captions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [f"{number}.png,a red ball left of {number} blue cups" for number in range(12)]
    captions.write_text("\n".join(["image,caption", *lines]))
    words = ["--data.path", str(captions), "--data.held_out", "4", "--batch_size", "8"]
    words += ["--schedule.steps", "1", "--workers", "0", "--output", str(tmp_path)]
    run = tmp_path / "mine"
    assert main(["train", "fsc_clip-captions-builtin", *words, "--name", "mine"]) == 0
    following = f"{run} retrieval hard_negatives --root {run / 'held_out.json'}"
    following += " --option kinds=swap,shuffle"
    assert f"next: trifocal eval {following}" in capsys.readouterr().out
    assert main(["eval", *following.split()]) == 0
    shown = capsys.readouterr().out
    assert "shuffle" in shown
    assert "replace" not in shown


def tabled(folder: Path, photos: int) -> Path:
    """A table of so many photos, none of which is there."""
    file = folder / "many.csv"
    rows = [f"{number}.png,{'train' if number else 'val'},a ball" for number in range(photos)]
    file.write_text("\n".join(["image,split,caption", *rows]))
    for number in range(photos):
        (folder / f"{number}.png").touch()
    return file


@pytest.mark.parametrize(("photos", "held"), [(399, 0), (400, 20), (4400, 200)])
def test_some_are_held_out_where_nobody_says_how_many(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, photos: int, held: int
) -> None:
    caplog.set_level("INFO")
    trained, apart = CaptionData(path=str(tabled(tmp_path, photos))).parts()
    assert (len(trained), len(apart)) == (photos - held, held)
    assert (f"{held} of the {photos} photos" in caplog.text) == bool(held)
    assert "with data.held_out 0 all are trained on" in caplog.text or not held


def test_of_a_part_of_a_file_none_are_held_out(tmp_path: Path) -> None:
    path = str(tabled(tmp_path, 401))
    assert CaptionData(path=path, split="train").parts()[1] == []
    assert CaptionData(path=path, held_out=0).parts()[1] == []


def test_shipped_recipes_train_on_all_of_their_own_file_and_hold_out_of_others() -> None:
    for name, file in shipped_recipes().items():
        data = load_recipe(file).data
        if isinstance(data, CaptionData) and "coco" in data.path:
            assert data.held_out == 0, name
    held = {
        words: _recipe(Namespace(recipe="fsc_clip-coco-ViT-B-32", overrides=words.split())).data
        for words in ("", "--data.path mine.csv", "--data.path mine.csv --data.held_out 0")
    }
    assert [data.held_out for data in held.values()] == [0, None, 0]


def test_a_run_goes_on_with_what_it_held_out(captions: Path, tmp_path: Path) -> None:
    old = load_recipe(None, ["--data.source", "captions", "--data.path", str(captions)])
    old = replace(old, output=str(tmp_path), name="old")
    folder = tmp_path / "old" / "checkpoints" / "step-00000001"
    folder.mkdir(parents=True)
    kept = config.plain(old)
    for before in (7, None, "absent"):
        kept["data"] = {**kept["data"], "held_out": before}
        if before == "absent":
            del kept["data"]["held_out"]
        (folder / "trainer.json").write_text(json.dumps({"format": FORMAT, "recipe": kept}))
        wanted = 0 if before == "absent" else before
        assert as_begun(old).data.held_out == wanted
    assert as_begun(replace(old, name="new")).data.held_out is None
