"""What was typed has an effect, or that is said; a default that nobody typed is not mentioned."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from trifocal.cli import main, make_parser


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ready features with texts, class folders, a list of regions."""
    folder = tmp_path_factory.mktemp("stated")
    eye = torch.eye(16)[:3]
    labels = torch.arange(3)
    parts = {part: eye + 0.1 for part in ("train1", "val", "test")}  # noqa: C420 - not one tensor
    parts |= {f"{part}_label": labels.clone() for part in ("train1", "val", "test")}
    save_file(parts, folder / "ready.safetensors")
    save_file({"names": eye, "words": torch.eye(16)}, folder / "text.safetensors")
    for index, name in enumerate(("red", "green", "blue")):
        (folder / "photos" / name).mkdir(parents=True)
        for number in range(3):
            color = [40 + 10 * number] * 3
            color[index] = 250
            picture = Image.new("RGB", (32, 32), tuple(color))
            picture.save(folder / "photos" / name / f"{number}.png")
    lines = [
        {"image": f"photos/{name}/0.png", "label": name, "boxes": [[0, 0, 16, 16]]}
        for name in ("red", "green")
    ]
    (folder / "list.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (folder / "words.txt").write_text("red\ngreen\nblue\n")
    return folder


def test_what_was_typed_is_known_through_all_levels_of_commands():
    parser = make_parser()
    words = ["--quiet", "classify", "fit", "photos", "--out", "x", "--views=3", "--device", "cpu"]
    found, _ = parser.parse_known_args(words)
    assert found.stated.keys() == {"quiet", "out", "views", "device"}
    assert found.stated["views"] == "--views"
    assert found.shots is None
    assert "shots" not in found.stated


READY = "eval few-shot --datasets ready.safetensors --class-text text.safetensors:names --shots 1"
FIT = "classify fit photos --out new --method"


@pytest.mark.parametrize(
    ("typed", "option"),
    [
        (f"{READY} --methods zero-shot --model builtin", "--model"),
        (f"{READY} --methods zero-shot --views 2", "--views"),
        (f"{READY} --methods zero-shot --vocabulary words.txt", "--vocabulary"),
        (f"{READY} --methods zero-shot --skip-bad", "--skip-bad"),
        (f"{READY} --methods zero-shot --tokenizer x", "--tokenizer"),
        (f"{READY} --methods zero-shot --cache x", "--cache"),
        (f"{READY} --methods gda --val-from train", "--val-from"),
        (f"{READY} --methods zero-shot --domains x", "x has no effect"),
        ("eval few-shot --datasets photos --methods gda --class-text a:b", "--class-text"),
        ("eval few-shot --datasets photos --methods gda --class-names a", "--class-names"),
        ("eval few-shot --datasets photos --methods gda --concept-text a:b", "--concept-text"),
        ("eval few-shot --datasets photos --methods gda --vocabulary words.txt", "--vocabulary"),
        ("eval few-shot --datasets photos --methods gda --val none --val-from val", "--val-from"),
        ("eval few-shot --datasets world --methods gda --root .", "--root"),
        (f"{FIT} linear-probe --template {{}}", "--template"),
        (f"{FIT} gda --vocabulary words.txt", "--vocabulary"),
        ("classify fit list.jsonl --out new --method gda --views 4", "--views"),
        ("data check dtd --root . --images x", "--images"),
        ("data check dtd --root . --option split=x", "--option"),
        ("data check world --root . --images x", "images has no effect"),
        ("data prepare negatives table.csv --out x.tsv --split train", "no split 'train'"),
        ("eval builtin world --root photos", "--root"),
    ],
)
def test_an_option_without_effect_is_refused(
    typed: str,
    option: str,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.chdir(place)
    (place / "table.csv").write_text("image,caption\nphotos/red/0.png,a red wall\n")
    assert main(typed.split()) == 2
    said = capsys.readouterr().err
    assert option in said
    assert said.count("\n") == 1
    assert not (place / "new").exists()


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (f"{READY} --methods zero-shot --val none --seeds 1,2", "--seeds"),
        (f"{READY} --methods ss-text --val few", "--val has no effect"),
        (f"{READY} --methods zero-shot --device cpu", "--device has no effect"),
        (f"{READY} --methods gda --concept-text text.safetensors:words", "--concept-text"),
        ("train rca-world-builtin --print --fresh", "--fresh"),
    ],
)
def test_an_option_that_counts_for_a_part_is_said(
    typed: str,
    told: str,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    monkeypatch.chdir(place)
    with caplog.at_level(logging.WARNING):
        assert main(typed.split()) == 0
    assert [record for record in caplog.messages if told in record]


def test_what_nobody_typed_is_not_mentioned(
    place: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.chdir(place)
    with caplog.at_level(logging.WARNING):
        assert main(f"{READY} --methods gda,zero-shot".split()) == 0
    assert not [told for told in caplog.messages if "no effect" in told]
