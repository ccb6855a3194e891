"""What the commands write, and what they refuse to write over, before they compute anything."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from transformers import CLIPModel

from tests.test_files import everything
from trifocal.apps.answer_files import write_table
from trifocal.apps.demo.command import run_demo
from trifocal.cli import main
from trifocal.clip import Clip, load_clip
from trifocal.errors import UserError
from trifocal.train.run_folder import check_run_folder, set_aside


@pytest.fixture
def unread(monkeypatch: pytest.MonkeyPatch) -> None:
    """No model and no data may be loaded."""

    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("it computed before it refused")

    for name in (
        *("api.model.load_model", "apps.loaded.load_model"),
        *("apps.eval.command.make_plan", "train.build.build_model"),
        *("apps.data.command.read_captions", "apps.few_shot.command.open_sources"),
        *(
            "apps.classify.command.load_classifier",
            "apps.classify.command.read_examples",
            "world.export.draw",
        ),
    ):
        monkeypatch.setattr(f"trifocal.{name}", never)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with other work, in which nothing changes."""
    (tmp_path / "models" / "theirs").mkdir(parents=True)
    (tmp_path / "models" / "theirs" / "weights.bin").write_bytes(b"mine")
    (tmp_path / "coco.json").write_text('{"images": []}')
    (tmp_path / "file").write_text("mine")
    for name in ("page.html", "list.jsonl", "table.csv", "table.tsv", "notes.txt"):
        (tmp_path / name).write_text("mine, without an end")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "linked").symlink_to(tmp_path / "models")
    monkeypatch.chdir(tmp_path)
    before = everything(tmp_path)
    yield tmp_path
    assert everything(tmp_path) == before


@pytest.mark.parametrize("force", [[], ["--force"]])
@pytest.mark.parametrize(
    ("to", "out", "told"),
    [
        ("transformers", "models", "already has content (theirs"),
        ("transformers", "linked", "already has content"),
        ("transformers", "dangling", "link to nothing"),
        ("transformers", "file", "is a file"),
        ("transformers", "coco.pt", "writes a folder"),
        ("transformers", ".", "folder you are in"),
        ("transformers", "..", "folder you are in"),
        ("transformers", "/", "folder you are in"),
        ("transformers", "", "has no name"),
        ("open_clip", "coco.pt", "coco.json is there already"),
        ("open_clip", "coco.safetensors", "coco.json is there already"),
        ("open_clip", "models", "already has content"),
        ("open_clip", "file", "is a file"),
        ("open_clip", "coco.onnx", "should end in .pt"),
        ("open_clip", "", "has no name"),
    ],
)
def test_export_keeps_the_work_of_others(
    here: Path, unread: None, to: str, out: str, told: str, force: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert main(["export", "builtin", "--to", to, "--out", out, *force]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("eval builtin world --out page.html", "end its name in .jsonl"),
        ("eval builtin world --out x.csv", "end its name in .jsonl"),
        ("eval builtin world --out list.jsonl", "is no results file"),
        ("eval builtin world --report list.jsonl", "end its name in .html"),
        ("eval builtin world --report page.html", "is not replaced"),
        ("eval builtin world --report models", "end its name in .html"),
        ("eval builtin world --clip-benchmark file", "file"),
        ("eval builtin world --compare gone.jsonl", "not found"),
        ("eval few-shot --datasets world --out list.jsonl", "is no results file"),
        ("eval few-shot --datasets world --report page.html", "is not replaced"),
        ("eval builtin world --out=", "end its name in .jsonl"),
        ("eval builtin world --report=", "end its name in .html"),
        ("classify predict m p.png --out=", ".jsonl, .json, .csv, .tsv"),
        ("data prepare negatives c.csv --out table.tsv", "is not replaced"),
        ("data prepare negatives c.csv --out new.csv", "end its name in .tsv"),
        ("data prepare shards c.csv --out models", "already has content"),
        ("data prepare shards c.csv --out models --force", "already has content"),
        ("data prepare shards c.csv --out new --per-shard 0", "at least 1"),
        ("data prepare world models --force", "already has content"),
        ("classify fit photos --out models --force", "already has content"),
        ("classify predict m p.png --out table.csv", "is not replaced"),
        ("classify predict m p.png --out notes.txt", ".jsonl, .json, .csv, .tsv"),
        ("classify predict m p.png --out list.jsonl", "is not what"),
        ("classify predict m p.png --out models", ".jsonl, .json, .csv, .tsv"),
        ("classify explain m p.png --out why.txt", "end it in .png"),
        ("classify evaluate m others --out list.jsonl", "is no results file"),
        ("classify evaluate m others --out rows.csv", "end its name in .jsonl"),
        ("train rca-world-builtin --output . --name models", "holds other work (theirs)"),
        ("train rca-world-builtin --output . --name models --fresh", "holds other work"),
        ("train rca-world-builtin --output . --name file", "is a file"),
        ("train rca-world-builtin --name x --fresh --no-resume", "give one of them"),
        ("demo --out models", "already has content"),
        ("demo --out file", "is a file"),
    ],
)
def test_it_is_refused_before_anything_is_computed(
    here: Path, unread: None, words: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words.split()) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1


def test_an_export_is_replaced_where_that_is_said(
    tmp_path: Path, tiny_clip: Clip, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny_clip.save_pretrained(tmp_path / "base")
    base = str(tmp_path / "base")
    for to, name in (("transformers", "t"), ("open_clip", "o"), ("open_clip", "o.pt"),
                     ("open_clip", "s.safetensors")):  # fmt: skip
        words = ["export", base, "--to", to, "--out", str(tmp_path / name)]
        assert main(words) == 0
        assert main(words) == 2
        assert "already has content" in capsys.readouterr().err
        assert main([*words, "--force"]) == 0
        capsys.readouterr()
        # What is ours and somebody's notes is refused.
        if (tmp_path / name).is_dir():
            (tmp_path / name / "notes.txt").write_text("mine")
            assert main([*words, "--force"]) == 2
            assert "holds notes.txt" in capsys.readouterr().err
            assert (tmp_path / name / "notes.txt").read_text() == "mine"
            (tmp_path / name / "notes.txt").unlink()
        source = f"local-dir:{tmp_path / name}" if name == "o" else str(tmp_path / name)
        assert load_clip(source, tokenizer=tiny_clip.tokenizer).fingerprint()
    ours = load_file(tmp_path / "t" / "model.safetensors")
    theirs = CLIPModel.from_pretrained(tmp_path / "t").state_dict()  # the marker is no hindrance
    assert all(theirs[key].equal(value) for key, value in ours.items())
    (tmp_path / "o.pt").write_bytes(b"something else")
    words = ["export", base, "--to", "open_clip", "--out", str(tmp_path / "o.pt"), "--force"]
    assert main(words) == 2
    assert "is not replaced" in capsys.readouterr().err
    words = ["export", base, "--to", "transformers", "--out"]
    for target in (base, str(tmp_path / "base" / "inside"), str(tmp_path)):
        assert main([*words, target, "--force"]) == 2
        assert "itself lies" in capsys.readouterr().err
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(".")]


def test_explanations_of_a_list_as_a_table(tmp_path: Path) -> None:
    best = [{"rank": 1, "score": 0.5, "text": 'a "b", c'}, {"rank": 2, "score": 0.25, "text": "d"}]
    records = [{"image": "a,b.png", "boxes": [[1, 2, 3, 4]], "explanations": best},
               {"id": "x", "image": "n\udcffame.png", "boxes": [], "explanations": best}]  # fmt: skip
    write_table(tmp_path / "e.csv", records)
    with open(tmp_path / "e.csv", newline="", errors="surrogateescape") as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == ["a,b.png"] * 2 + ["n\udcffame.png"] * 2
    assert rows[0]["text"] == 'a "b", c'
    assert rows[0]["boxes"] == "[[1, 2, 3, 4]]"
    assert [row["id"] for row in rows] == ["", "", "x", "x"]
    write_table(tmp_path / "none.csv", [])
    assert (tmp_path / "none.csv").read_text() == "image\n"


RECIPE = """
name: tiny
method: finetune
data: {size: 64}
schedule: {steps: 2}
batch_size: 8
workers: 0
"""


def test_a_run_goes_on_is_refused_or_starts_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "recipe.yaml").write_text(f"{RECIPE}output: {tmp_path}\n")
    train = ["train", str(tmp_path / "recipe.yaml"), "--device", "cpu"]
    assert main(train) == 0
    (tmp_path / "tiny" / "notes.txt").write_text("mine")
    assert main(train) == 0
    assert main([*train, "--no-resume"]) == 2
    assert "already holds a run (2 steps)" in capsys.readouterr().err
    assert main([*train, "--fresh", "--schedule.steps", "3"]) == 0
    assert (tmp_path / "tiny.old-1" / "notes.txt").read_text() == "mine"
    assert (tmp_path / "tiny.old-1" / "model" / "config.json").is_file()
    assert sorted(path.name for path in (tmp_path / "tiny" / "checkpoints").glob("step-*"))[-1] == (
        "step-00000003"
    )
    assert not (tmp_path / "tiny" / "notes.txt").exists()
    shutil.rmtree(tmp_path / "tiny" / "checkpoints")
    before = everything(tmp_path)
    assert main(train) == 2
    assert "no checkpoint to go on from" in capsys.readouterr().err
    assert everything(tmp_path) == before


def test_what_a_run_folder_is(tmp_path: Path) -> None:
    check_run_folder(tmp_path / "new")
    (tmp_path / "mine").mkdir()
    check_run_folder(tmp_path / "mine")
    (tmp_path / "mine" / "recipe.yaml").write_text("name: mine")  # a user's own
    with pytest.raises(UserError, match=r"holds other work \(recipe.yaml\) and no run"):
        check_run_folder(tmp_path / "mine")
    (tmp_path / "mine" / "checkpoints").mkdir()  # as a kill leaves it
    check_run_folder(tmp_path / "mine")
    (tmp_path / "mine" / "environment.json").write_text('{"trifocal": "0.1.0"}')
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    check_run_folder(tmp_path / "mine")
    for number in (1, 2):
        assert set_aside(tmp_path / "mine") == tmp_path / f"mine.old-{number}"
        (tmp_path / "mine").mkdir()
    assert (tmp_path / "mine.old-1" / "notes.txt").read_text() == "mine"


def test_a_tour_takes_up_its_own_folder_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trifocal.apps.demo.command.CHAPTERS", {})
    run_demo([], str(tmp_path / "tour"))
    run_demo([], str(tmp_path / "tour"))
    (tmp_path / "tour" / "report.html").write_text("mine")
    with pytest.raises(UserError, match="is not replaced"):
        run_demo([], str(tmp_path / "tour"))
    (tmp_path / "tour" / "trifocal.json").unlink()
    with pytest.raises(UserError, match="already has content"):
        run_demo([], str(tmp_path / "tour"))
