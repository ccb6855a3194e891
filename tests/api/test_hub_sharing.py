"""To the Hub and back, on a Hub that is a folder."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from huggingface_hub.errors import EntryNotFoundError, LocalTokenNotFoundError
from PIL import Image

import trifocal
from trifocal.cli import main
from trifocal.clip import Clip, save_pretrained
from trifocal.composition import FscClip, FscClipConfig
from trifocal.errors import UserError
from trifocal.evaluate.records import add_results
from trifocal.metrics.benchmark import Sheet
from trifocal.regions import Rca, RcaConfig


class FakeHub:
    """What of `HfApi` is used: repositories are folders."""

    def __init__(self, root: Path) -> None:
        self.root, self.private = root, {}

    def create_repo(self, repo: str, *, private: bool, exist_ok: bool) -> None:
        assert exist_ok
        self.private[repo] = private
        (self.root / repo).mkdir(parents=True, exist_ok=True)

    def create_commit(
        self, repo: str, operations: Any, *, commit_message: str, revision: Any
    ) -> Any:
        for one in operations:
            path = self.root / repo / one.path_in_repo
            path.parent.mkdir(parents=True, exist_ok=True)
            with one.as_file() as content:
                path.write_bytes(content.read())

    def snapshot_download(self, repo: str, *, revision: Any, allow_patterns: list[str]) -> str:
        return str(self.root / repo)


@pytest.fixture
def hub(tmp_path: Path) -> FakeHub:
    return FakeHub(tmp_path / "hub")


@pytest.fixture
def online(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    """The same Hub for what loads by name."""

    def snapshot(repo: str, *, revision: str | None, allow_patterns: list[str]) -> str:
        if not (hub.root / repo).is_dir():
            raise ConnectionError(f"nothing is called {repo}")
        return str(hub.root / repo)

    def download(repo: str, file: str, *, revision: str | None) -> str:
        if not (hub.root / repo / file).is_file():
            raise EntryNotFoundError(f"no {file}")
        return str(hub.root / repo / file)

    monkeypatch.setattr("trifocal.clip.hub.snapshot_download", snapshot)
    monkeypatch.setattr("trifocal.clip.hub.hf_hub_download", download)
    return hub


@pytest.fixture
def adaptation(tiny_clip: Clip, tmp_path: Path) -> Path:
    FscClip(copy.deepcopy(tiny_clip), FscClipConfig()).save(tmp_path / "run" / "model")
    return tmp_path / "run"


def rows(name: str, value: float) -> list[Any]:
    sheet = Sheet("sugarcrepe", name, "told", version=1)
    sheet.add("swap", "acc1", value, 10, 0.5)
    return sheet.rows


def test_an_adaptation_goes_and_comes(
    adaptation: Path, hub: FakeHub, tmp_path: Path, tiny_clip: Clip
) -> None:
    results = tmp_path / "rows.jsonl"
    add_results(results, [*rows("tiny-0", 0.51), *rows("/home/me/run", 0.61)])
    (adaptation / "recipe.yaml").write_text(
        "method: {name: fsc_clip}\nmodel: {name: tiny-0}\ndata: {source: captions, path: /home/me/coco.json}\n"
    )
    address = trifocal.push(adaptation, "me/mine", license="mit", results=results, api=hub)
    assert address == "https://huggingface.co/me/mine"
    assert hub.private["me/mine"]
    card = (hub.root / "me/mine" / "README.md").read_text()
    for part in ("license: mit", "library_name: trifocal", "captions, coco.json", "fsc_clip"):
        assert part in card
    assert "| sugarcrepe | swap | acc1 | 0.5100 | 0.6100 |" in card
    assert "/home/me" not in card
    folder = trifocal.pull("me/mine", tmp_path / "back", api=hub)
    texts = ["a dog", "a red ball"]
    kind = "adapter.json" if (adaptation / "model" / "adapter.json").is_file() else "config.json"
    assert (folder / kind).is_file()
    base = {"base": copy.deepcopy(tiny_clip)} if kind == "adapter.json" else {}
    ours = trifocal.load(adaptation / "model", **base).encode_texts(texts)
    base = {"base": copy.deepcopy(tiny_clip)} if kind == "adapter.json" else {}
    assert torch.equal(trifocal.load(folder, **base).encode_texts(texts), ours)
    with pytest.raises(UserError, match="force"):
        trifocal.pull("me/mine", tmp_path / "back", api=hub)
    trifocal.pull("me/mine", tmp_path / "back", force=True, api=hub)
    assert trifocal.pull("me/mine", api=hub) == hub.root / "me/mine"


def test_an_adaptation_is_loaded_by_its_name(
    online: FakeHub, tiny_clip: Clip, tmp_path: Path
) -> None:
    method = Rca(copy.deepcopy(tiny_clip), RcaConfig())
    method.save(tmp_path / "rca")
    trifocal.push(tmp_path / "rca", "me/rca", license="mit", api=online)
    found = trifocal.load("me/rca", "cpu", base=copy.deepcopy(tiny_clip))
    assert found.name == "me/rca"
    near = trifocal.load(tmp_path / "rca", "cpu", base=copy.deepcopy(tiny_clip))
    picture = Image.new("RGB", (40, 30), "red")
    assert torch.equal(found.encode_image(picture), near.encode_image(picture))
    with pytest.raises(UserError, match=r"the base of me/rca cannot be had .*'tiny-0'"):
        trifocal.load("me/rca", "cpu")
    save_pretrained(tiny_clip, tmp_path / "whole")
    trifocal.push(tmp_path / "whole", "me/whole", license="mit", api=online)
    whole = trifocal.load("hf-hub:me/whole", "cpu")
    assert torch.equal(whole.encode_text("a dog"), trifocal.load(tiny_clip).encode_text("a dog"))
    with pytest.raises(UserError, match="could not be had from the Hub"):
        trifocal.load("me/nothing", "cpu")


def test_a_classifier_keeps_its_pictures_at_home(online: FakeHub, tmp_path: Path) -> None:
    hub = online
    rng = np.random.default_rng(0)
    for name, shade in (("dark", 10), ("light", 200)):
        for number in range(4):
            path = tmp_path / "photos" / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = (shade + rng.integers(0, 50, (48, 48, 3))).astype(np.uint8)
            Image.fromarray(pixels).save(path)
    fitted = str(tmp_path / "fitted")
    words = ["classify", "fit", str(tmp_path / "photos"), "--method", "gda", "--views", "0"]
    assert main([*words, "--out", fitted, "--quiet"]) == 0
    trifocal.push(fitted, "me/birds", license="apache-2.0", private=False, api=hub)
    pushed = {path.name for path in (hub.root / "me/birds").rglob("*")}
    assert {"README.md", "head.json", "head.safetensors"} <= pushed
    assert not any(name.endswith(".webp") for name in pushed)
    card = (hub.root / "me/birds" / "README.md").read_text()
    assert "**Classes** (2): dark, light" in card
    assert "accuracy" in card
    assert not hub.private["me/birds"]
    found = trifocal.classify(
        tmp_path / "photos" / "dark" / "0.png", trifocal.pull("me/birds", api=hub)
    )
    assert found[0].label == "dark"
    shown = str(tmp_path / "photos" / "light" / "0.png")
    assert trifocal.classify(shown, "me/birds")[0].label == "light"
    assert main(["classify", "predict", "me/birds", shown]) == 0
    for name in ("me/birds", fitted):
        with pytest.raises(UserError, match="is a few-shot classifier, not a model"):
            trifocal.load(name, "cpu")
    trifocal.push(fitted, "me/birds", license="apache-2.0", pictures=True, api=hub)
    assert list((hub.root / "me/birds").rglob("*.webp"))


def test_what_was_not_measured_is_said(online: FakeHub, tmp_path: Path) -> None:
    hub = online
    trifocal.HeadClassifier("gda").fit(np.eye(2), ["a", "b"]).save(tmp_path / "head")
    trifocal.push(tmp_path / "head", "me/head", license="mit", api=hub)
    assert "Nothing was measured" in (hub.root / "me/head" / "README.md").read_text()
    again = trifocal.HeadClassifier.load(trifocal.pull("me/head", api=hub))
    assert list(again.predict(np.eye(2))) == ["a", "b"]
    assert list(trifocal.HeadClassifier.load("me/head").predict(np.eye(2))) == ["a", "b"]


def test_the_commands(
    hub: FakeHub,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("huggingface_hub.HfApi", lambda **options: hub)
    trifocal.HeadClassifier("gda").fit(np.eye(2), ["a", "b"]).save(tmp_path / "head")
    assert main(["push", str(tmp_path / "head"), "me/head", "--license", "mit", "--public"]) == 0
    assert not hub.private["me/head"]
    assert main(["pull", "me/head", "--out", str(tmp_path / "back")]) == 0
    assert (tmp_path / "back" / "estimator.json").is_file()
    assert "next: trifocal pull me/head" in capsys.readouterr().out


def test_what_cannot_be_done_is_said(hub: FakeHub, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="nothing to push"):
        trifocal.push(tmp_path / "empty", "me/mine", license="mit", api=hub)
    with pytest.raises(UserError, match="is no name on the Hub"):
        trifocal.push(tmp_path / "empty", "mine", license="mit", api=hub)
    (hub.root / "me" / "other").mkdir(parents=True)
    with pytest.raises(UserError, match="holds nothing of trifocal's"):
        trifocal.pull("me/other", api=hub)

    class NoToken(FakeHub):
        def snapshot_download(self, *arguments: Any, **options: Any) -> str:
            raise LocalTokenNotFoundError("no token")

    with pytest.raises(UserError, match="hf auth login"):
        trifocal.pull("me/other", api=NoToken(tmp_path))
