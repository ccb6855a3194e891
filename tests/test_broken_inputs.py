"""Whatever is wrong with an input, a command says so in a sentence, and never with a traceback."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from trifocal.cli import main

# What can be wrong with a file that is read as text, JSON or anything else.
BROKEN: dict[str, bytes | None] = {
    "missing": None,
    "empty": b"",
    "binary": bytes(range(256)) * 8,
    "blank": b"\n\n \n",
    "latin": "é;ü\nß,caf\xe9\n".encode("latin-1"),
    "number": b"3",
    "list": b'[1, null, "a", [], {}]',
    "table": b'{"a": [1], "images": 7, "annotations": {"b": null}, "text": 3, "image": null}',
    "torn": b'{"image": "a.png", "boxes": [[1, 2',
    "deep": b"[" * 100_000,
}

# Words of a command line; "@" is the folder with everything that is right, "!" what is broken.
CLASSIFY = "classify predict @/head"
FEW_SHOT = "eval few-shot --methods zero-shot --shots 1 --seeds 1 --cache @/cache"
FILES = {
    "classify fit: folder": ("classify fit ! --out @/new", ""),
    "classify fit: list": ("classify fit ! --out @/new", ".jsonl"),
    "classify fit: names": ("classify fit @/photos --out @/new --names !", ".txt"),
    "classify fit: names as JSON": ("classify fit @/photos --out @/new --names !", ".json"),
    "classify fit: vocabulary": ("classify fit @/photos --out @/new --vocabulary !", ".txt"),
    "classify fit: vocabulary as JSON": (
        "classify fit @/photos --out @/new --vocabulary !",
        ".json",
    ),
    "classify fit: model": ("classify fit @/photos --out @/new --model !", ".safetensors"),
    "classify predict: head": ("classify predict ! @/photos/a/0.png", ""),
    "classify predict: picture": (f"{CLASSIFY} !", ".png"),
    "classify predict: list": (f"{CLASSIFY} !", ".jsonl"),
    "classify predict: model": (f"{CLASSIFY} @/photos/a/0.png --model !", ".pt"),
    "classify explain: picture": ("classify explain @/head !", ".jpg"),
    "classify explain: head": ("classify explain ! @/photos/a/0.png", ""),
    "classify evaluate: folder": ("classify evaluate @/head !", ""),
    "classify evaluate: list": ("classify evaluate @/head !", ".jsonl"),
    "classify evaluate: out": ("classify evaluate @/head @/photos --out !", ".jsonl"),
    "explain: picture": ("explain ! --bank @/bank.txt --model builtin", ".png"),
    "explain: list": ("explain ! --bank @/bank.txt --model builtin", ".jsonl"),
    "explain: bank": ("explain @/photos/a/0.png --bank ! --model builtin", ".txt"),
    "explain: bank of lines": ("explain @/photos/a/0.png --bank ! --model builtin", ".jsonl"),
    "explain: bank of annotations": ("explain @/photos/a/0.png --bank ! --model builtin", ".json"),
    "explain: bank in a zip": ("explain @/photos/a/0.png --bank ! --model builtin", ".zip"),
    "explain: model": ("explain @/photos/a/0.png --bank @/bank.txt --model !", ".bin"),
    "explain: tokenizer": (
        "explain @/photos/a/0.png --bank @/bank.txt --model @/weights.safetensors --tokenizer !",
        ".json",
    ),
    "explain: tokenizer in gzip": (
        "explain @/photos/a/0.png --bank @/bank.txt --model @/weights.safetensors --tokenizer !",
        ".gz",
    ),
    "export: model": ("export ! --to transformers --out @/new", ".safetensors"),
    "export: pickled model": ("export ! --to transformers --out @/new", ".pt"),
    "eval: model": ("eval ! world", ""),
    "eval: captions": ("eval builtin retrieval --captions !", ".json"),
    "eval: captions in lines": ("eval builtin retrieval --captions !", ".jsonl"),
    "eval: captions in a table": ("eval builtin retrieval --captions !", ".csv"),
    "eval: captions in a tab table": ("eval builtin retrieval --root !", ".tsv"),
    "eval: class names": ("eval builtin zero_shot --root @/photos --option classnames=!", ".json"),
    "eval: class names as text": (
        "eval builtin zero_shot --root @/photos --option classnames=!",
        ".txt",
    ),
    "eval: templates": ("eval builtin zero_shot --root @/photos --option templates=!", ".json"),
    "eval: zero_shot root": ("eval builtin zero_shot --root !", ""),
    "eval: sugarcrepe root": ("eval builtin sugarcrepe --root !", ""),
    "eval: images": ("eval builtin retrieval --root @/captions.csv --images !", ""),
    "eval: sherlock root": ("eval builtin sherlock --root !", ""),
    "eval: sherlock annotations": (
        "eval builtin sherlock --root @ --option annotations=!",
        ".json",
    ),
    "eval: refcoco annotations": ("eval builtin refcoco --root @ --option annotations=!", ".json"),
    "eval: refcoco root": ("eval builtin refcoco --root !", ""),
    "eval: compare": ("eval builtin zero_shot --root @/photos --compare !", ".jsonl"),
    "eval: out": ("eval builtin zero_shot --root @/photos --out !", ".jsonl"),
    "eval: base": ("eval builtin zero_shot --root @/photos --base !", ".pt"),
    "few-shot: features": (f"{FEW_SHOT} --datasets !", ".safetensors"),
    "few-shot: split": (f"{FEW_SHOT} --datasets x --root !", ""),
    "few-shot: class text": (
        f"{FEW_SHOT} --datasets @/features.safetensors --class-text !:a",
        ".safetensors",
    ),
    "few-shot: class names": (
        f"{FEW_SHOT} --datasets @/features.safetensors --class-names !",
        ".json",
    ),
    "few-shot: vocabulary": (
        f"{FEW_SHOT} --methods concept-map --datasets @/photos --vocabulary !",
        ".txt",
    ),
    "few-shot: compare": (f"{FEW_SHOT} --datasets @/features.safetensors --compare !", ".jsonl"),
    "few-shot: out": (f"{FEW_SHOT} --datasets @/features.safetensors --out !", ".jsonl"),
    "train: recipe": ("train !", ".yaml"),
    "train: captions": ("train @/recipe.yaml --data.path !", ".csv"),
    "train: captions as JSON": ("train @/recipe.yaml --data.path !", ".json"),
    "train: captions in lines": ("train @/recipe.yaml --data.path !", ".jsonl"),
    "train: model": ("train @/recipe.yaml --data.path @/captions.csv --model.name !", ".pt"),
    "data prepare: captions": ("data prepare negatives ! --out @/new.csv", ".csv"),
    "data prepare: captions as JSON": ("data prepare negatives ! --out @/new.csv", ".json"),
    "data check: root": ("data check retrieval --root !", ".json"),
    "data check: sugarcrepe": ("data check sugarcrepe --root !", ""),
    "data check: data set": ("data check few_shot:dtd --root !", ""),
}


def write_photos(folder: Path) -> None:
    rng = np.random.default_rng(0)
    for label in ("a", "b"):
        (folder / label).mkdir(parents=True)
        for number in range(3):
            pixels = rng.integers(0, 255, (40, 40, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{number}.png")


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one of everything that commands read, all of it right."""
    folder = tmp_path_factory.mktemp("right")
    write_photos(folder / "photos")
    (folder / "bank.txt").write_text("it rains\nit snows\n")
    (folder / "captions.csv").write_text(
        "image,caption\nphotos/a/0.png,a ball\nphotos/a/1.png,a box\n"
    )
    rows = {"train1": torch.eye(2, 4), "train1_label": torch.tensor([0, 1])}
    rows |= {"test": torch.eye(2, 4), "test_label": torch.tensor([0, 1]), "val": torch.eye(2, 4)}
    save_file({**rows, "val_label": torch.tensor([0, 1])}, folder / "features.safetensors")
    recipe = {
        "name": "r",
        "data": {"format": "captions", "path": str(folder / "captions.csv")},
        "output": str(folder / "runs"),
        "schedule": {"steps": 1},
        "batch_size": 2,
        "workers": 0,
    }
    (folder / "recipe.yaml").write_text(json.dumps(recipe))
    words = ["--out", str(folder / "head"), "--method", "proker", "--views", "0"]
    assert main(["--quiet", "classify", "fit", str(folder / "photos"), *words]) == 0
    assert main(["export", "builtin", "--to", "transformers", "--out", str(folder / "model")]) == 0
    shutil.copy(folder / "model" / "model.safetensors", folder / "weights.safetensors")
    return folder


@pytest.fixture(autouse=True)
def _apart(right: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(right / "user"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def told(words: str, right: Path, broken: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command; return what it says on stderr, which is a sentence if it fails."""
    capsys.readouterr()
    line = [word.replace("@", str(right)).replace("!", str(broken)) for word in words.split()]
    status = main(["--device", "cpu", *line] if line[0] in DEVICE else line)
    shown = capsys.readouterr()
    assert "Traceback" not in shown.err
    if status != 0:
        assert status == 2 or (status, line[:2]) == (1, ["data", "check"]), shown
        assert status == 1 or shown.err.splitlines()[-1].startswith("trifocal: "), shown.err
        assert len(shown.err) < 2000
    return shown.err


DEVICE = ("classify", "explain", "eval", "train")


# All pairs take minutes: each file is quickly tried with some of what can be wrong, in turn.
PAIRS = [
    pytest.param(what, how, marks=() if (i + j) % 4 == 0 else pytest.mark.slow)
    for i, what in enumerate(FILES)
    for j, how in enumerate(BROKEN)
]


@pytest.mark.parametrize(("what", "how"), PAIRS)
def test_a_broken_file(what: str, how: str, right: Path, tmp_path: Path, capsys) -> None:
    words, suffix = FILES[what]
    broken = tmp_path / f"broken{suffix}"
    content = BROKEN[how]
    if content is not None:
        broken.write_bytes(content)
    told(words, right, broken, capsys)


@pytest.mark.parametrize("what", FILES)
def test_a_folder_in_its_place(what: str, right: Path, tmp_path: Path, capsys) -> None:
    words, suffix = FILES[what]
    broken = tmp_path / f"broken{suffix}"
    broken.mkdir()
    told(words, right, broken, capsys)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("what", FILES)
def test_no_right_to_read_it(what: str, right: Path, tmp_path: Path, capsys) -> None:
    words, suffix = FILES[what]
    broken = tmp_path / f"broken{suffix}"
    broken.write_bytes(b"{}")
    broken.chmod(0)
    told(words, right, broken, capsys)


# Folders that commands write, and read again


def damage(folder: Path, name: str, how: str) -> None:
    """Break one file of a folder."""
    content = BROKEN[how]
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content)


@pytest.mark.parametrize("how", ["missing", "empty", "binary", "list", "table", "deep"])
@pytest.mark.parametrize("name", ["head.json", "head.safetensors"])
def test_a_broken_classifier(name: str, how: str, right: Path, tmp_path: Path, capsys) -> None:
    shutil.copytree(right / "head", tmp_path / "head")
    damage(tmp_path / "head", name, how)
    said = told("classify predict ! @/photos/a/0.png", right, tmp_path / "head", capsys)
    assert said.startswith("trifocal: ")


@pytest.mark.parametrize("how", ["missing", "empty", "binary", "list", "table", "deep"])
@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_broken_model_folder(name: str, how: str, right: Path, tmp_path: Path, capsys) -> None:
    shutil.copytree(right / "model", tmp_path / "model")
    damage(tmp_path / "model", name, how)
    said = told("export ! --to transformers --out @/new", right, tmp_path / "model", capsys)
    assert said.splitlines()[-1].startswith("trifocal: ")


@pytest.mark.parametrize("how", ["missing", "empty", "binary", "list", "table", "deep"])
@pytest.mark.parametrize("name", ["adapter.json", "adapter.safetensors"])
def test_a_broken_adaptation(name: str, how: str, right: Path, tmp_path: Path, capsys) -> None:
    made = next((Path(__file__).parent / "fixtures" / "v0_1" / "adaptations").rglob("adapter.json"))
    shutil.copytree(made.parent, tmp_path / "adaptation")
    damage(tmp_path / "adaptation", name, how)
    said = told("export ! --to transformers --out @/new", right, tmp_path / "adaptation", capsys)
    assert said.splitlines()[-1].startswith("trifocal: ")


@pytest.mark.parametrize("how", ["missing", "empty", "binary", "list", "table", "deep"])
def test_a_run_with_a_broken_recipe(how: str, right: Path, tmp_path: Path, capsys) -> None:
    shutil.copytree(right / "model", tmp_path / "run" / "model")
    (tmp_path / "run" / "recipe.yaml").write_text("model: {name: builtin}\n")
    damage(tmp_path / "run", "recipe.yaml", how)
    words = "eval ! zero_shot --root @/photos --interpolate 0,1"
    assert "trifocal: " in told(words, right, tmp_path / "run", capsys)
