"""`trifocal eval few-shot`: what is typed becomes a run, tables and a report."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from trifocal.apps.few_shot import sources as few_shot_sources
from trifocal.apps.few_shot.command import head_options, numbers
from trifocal.cli import main
from trifocal.errors import UserError
from trifocal.evaluate.records import read_results

CLASSES, WIDTH = 4, 16


@pytest.fixture
def features(tmp_path: Path) -> Path:
    """A feature file of clouds around four directions, and one of their texts."""
    generator = torch.Generator().manual_seed(0)

    def cloud(each: int) -> tuple[torch.Tensor, torch.Tensor]:
        labels = torch.arange(CLASSES).repeat_interleave(each)
        noise = torch.randn(len(labels), WIDTH, generator=generator)
        return (torch.eye(WIDTH)[labels] + 0.25 * noise).half(), labels

    tensors: dict[str, Any] = {}
    for name, each in (("train1", 1), ("train2", 2), ("val", 4), ("test", 25)):
        tensors[name], tensors[f"{name}_label"] = cloud(each)
    save_file(tensors, tmp_path / "clouds.safetensors")
    texts = torch.eye(WIDTH)[:CLASSES] + 0.3
    save_file({"names": texts, "concepts": torch.eye(WIDTH)}, tmp_path / "text.safetensors")
    return tmp_path / "clouds.safetensors"


def run(features: Path, *words: str) -> int:
    texts = features.with_name("text.safetensors")
    return main(
        [
            "eval", "few-shot", "--datasets", str(features), "--class-text", f"{texts}:names",
            "--concept-text", f"{texts}:concepts", "--shots", "1,2", *words,
        ]
    )  # fmt: skip


def test_a_feature_file_becomes_tables_results_and_a_report(features, tmp_path, capsys):
    out, report = tmp_path / "r.jsonl", tmp_path / "r.html"
    words = ["--methods", "zero-shot,tip-adapter,ss-text", "--out", str(out)]
    assert run(features, *words, "--report", str(report)) == 0
    text = capsys.readouterr().out
    for told in ("clouds: accuracy by shots, %", "Against zero-shot by shots", "What it takes"):
        assert told in text
    rows = read_results(out)
    assert {row.model for row in rows} == {"zero-shot", "tip-adapter", "ss-text"}
    assert {row.task for row in rows} == {"1-shot", "2-shot"}
    assert {row.seed for row in rows} == {None}  # the draw came with the features
    assert "trifocal" in report.read_text()
    before = out.read_bytes()
    assert run(features, *words) == 0
    assert out.read_bytes() == before  # nothing is done twice


def test_parameters_and_other_results_stand_beside(features, tmp_path, capsys):
    out = tmp_path / "r.jsonl"
    assert run(features, "--methods", "tip-adapter", "--val", "none", "--out", str(out)) == 0
    more = ["--methods", "tip-adapter", "--val", "none", "--option", "tip-adapter.alpha=9"]
    assert run(features, *more, "--compare", str(out), "--baseline", "tip-adapter") == 0
    text = capsys.readouterr().out
    assert "tip-adapter(alpha=9)" in text
    assert "Against tip-adapter by shots" in text  # answers beside either file are found


def test_a_baseline_that_is_not_there_is_said_before_anything_is_fitted(features, tmp_path, capsys):
    out = tmp_path / "rows.jsonl"
    words = ["--methods", "zero-shot", "--baseline", "gda", "--out", str(out)]
    assert run(features, *words) == 2
    assert "no results of 'gda'" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--methods", "tip-adaptor"], "Did you mean 'tip-adapter'"),
        (["--shots", "1,x"], "--shots takes whole numbers from 1 on"),
        (["--shots", "0"], "--shots takes whole numbers from 1 on"),
        (["--seeds", ""], "--seeds takes whole numbers from 0 on"),
        (["--option", "alpha=2"], "write METHOD.KEY=VALUE"),
        (["--option", "tip-adapter.alfa=2"], "Did you mean 'alpha'"),
        (["--methods", "zero-shot", "--option", "gda.x=2"], "not among the methods"),
        (["--compare", "nowhere.jsonl"], "nowhere.jsonl not found"),
        (["--metods", "gda"], "unknown option '--metods'"),
        (["--methods", "zero-shot", "--baseline", "gda"], "no results of 'gda'"),
    ],
)
def test_errors_are_one_sentence(features, words, said, capsys):
    methods = [] if "--methods" in words else ["--methods", "tip-adapter"]
    assert run(features, *methods, *words) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error


def test_a_stop_says_that_it_can_go_on(features, tmp_path, capsys, monkeypatch):
    from trifocal.concepts.baselines import TipAdapter

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    out = tmp_path / "r.jsonl"
    monkeypatch.setattr(TipAdapter, "_fit", stop)
    words = ["--methods", "zero-shot,tip-adapter", "--out", str(out)]
    assert run(features, *words) == 130
    assert "the same command goes on from there" in capsys.readouterr().err
    assert {row.model for row in read_results(out)} == {"zero-shot"}
    monkeypatch.undo()
    assert run(features, *words) == 0
    assert {row.model for row in read_results(out)} == {"zero-shot", "tip-adapter"}


def test_messages_of_fits_are_held_back_for_the_time_of_the_command(features):
    logger = logging.getLogger("trifocal.concepts")
    before = logger.level
    assert run(features, "--methods", "zero-shot") == 0
    assert logger.level == before


def test_numbers_are_sorted_and_single():
    assert numbers("4, 1,4", "--shots", 1) == (1, 4)


def test_parameters_of_methods():
    given = ["tip-adapter.alpha=2", "tip-adapter.beta=5.5", "ccli.head=full", "ccli.debias=false"]
    assert head_options(given) == {
        "tip-adapter": {"alpha": 2, "beta": 5.5},
        "ccli": {"head": "full", "debias": False},
    }
    with pytest.raises(UserError, match=r"METHOD\.KEY=VALUE"):
        head_options(["x=1"])


# --- pictures ----------------------------------------------------------------------------------


def test_the_drawn_world_with_its_domains(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(few_shot_sources, "_PER_CLASS", 2)
    out = tmp_path / "r.jsonl"
    words = ["eval", "few-shot", "--datasets", "world", "--methods", "zero-shot,ss-text"]
    words += ["--shots", "1", "--seeds", "1,2", "--val", "none", "--domains", "sketch"]
    words += ["--cache", str(tmp_path / "cache" / "features"), "--out", str(out)]
    assert main(words) == 0
    assert "world, 1 shot: fitted to it" in capsys.readouterr().out
    rows = read_results(out)
    assert {(row.benchmark, row.task) for row in rows} == {
        ("few_shot/world", "1-shot"),
        ("few_shot/world", "1-shot sketch"),
    }
    assert {row.seed for row in rows} == {1, 2}
    assert "backbone: builtin" in rows[0].protocol
    (drawn,) = (tmp_path / "cache" / "world").iterdir()
    before = drawn.stat().st_mtime_ns
    assert main(words) == 0
    assert drawn.stat().st_mtime_ns == before  # drawn once


def test_a_folder_of_class_folders_from_base_to_new(tmp_path, capsys):
    for label, color in enumerate(("red", "green", "blue", "yellow")):
        for number in range(8):
            path = tmp_path / "colors" / color / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            shade = Image.new("RGB", (40, 40), color)
            shade.putpixel((label, number), (0, 0, 0))
            shade.save(path)
    words = ["eval", "few-shot", "--datasets", "colors", "--root", str(tmp_path), "--base-to-new"]
    words += ["--methods", "zero-shot,tip-adapter", "--shots", "1", "--seeds", "1"]
    assert main([*words, "--cache", str(tmp_path / "cache")]) == 0
    text = capsys.readouterr().out
    assert "Base to new, 1 shot, colors, %" in text
    assert "accuracy by shots" not in text


@pytest.mark.parametrize(
    ("wished", "datasets", "found"),
    [
        (None, ["world"], {"world": []}),
        (
            "all",
            ["world", "dtd"],
            {"world": ["sketch", "inverted", "noisy", "low_resolution"], "dtd": []},
        ),
        (
            "imagenet_a,noisy",
            ["imagenet", "world"],
            {"imagenet": ["imagenet_a"], "world": ["noisy"]},
        ),
        ("folder", ["dtd", "pets"], {"dtd": ["folder"], "pets": ["folder"]}),
    ],
)
def test_domains_go_to_the_data_set_that_they_are_of(wished, datasets, found):
    assert few_shot_sources.shifts_of(wished, datasets) == found


def test_a_domain_of_no_data_set_is_refused():
    with pytest.raises(UserError, match="imagenet_r is a domain of imagenet"):
        few_shot_sources.shifts_of("imagenet_r", ["world"])


def test_features_have_no_classes_to_split(features, capsys):
    assert run(features, "--methods", "zero-shot", "--base-to-new") == 2
    assert "leave out the files of features" in capsys.readouterr().err


# --- data check --------------------------------------------------------------------------------


def test_data_check_says_what_is_missing(tmp_path, capsys):
    assert main(["data", "check", "caltech101", "--root", str(tmp_path)]) == 1
    text = capsys.readouterr().out
    assert "caltech101: missing" in text
    assert "caltech-101" in text
    assert main(["data", "check", "few_shot", "--root", str(tmp_path)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert len({line.partition(":")[0] for line in lines}) == 11
    assert main(["data", "check", "few_shot:caltec", "--root", str(tmp_path)]) == 2
    assert "Did you mean 'caltech101'" in capsys.readouterr().err


def test_data_check_counts_what_is_there(tmp_path, capsys):
    parts: dict[str, list] = {}
    for number, part in enumerate(("train", "val", "test")):
        for label, name in enumerate(("River", "Forest")):
            path = tmp_path / "eurosat" / "2750" / name / f"{name}_{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8)).save(path)
            parts.setdefault(part, []).append([f"{name}/{path.name}", label, name])
    (tmp_path / "eurosat" / "split_zhou_EuroSAT.json").write_text(json.dumps(parts))
    assert main(["data", "check", "eurosat", "--root", str(tmp_path)]) == 0
    assert "everything is there (2 / 2 / 2" in capsys.readouterr().out
