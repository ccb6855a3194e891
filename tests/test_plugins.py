"""A package that is installed beside trifocal adds a head, a method, a benchmark and a parser."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import trifocal
from trifocal import plugins
from trifocal.cli import main
from trifocal.composition.negatives import make_parser
from trifocal.concepts.head_registry import HEADS
from trifocal.errors import UserError
from trifocal.evaluate.registry import BENCHMARKS
from trifocal.train.build import METHODS

PLUGIN = '''
from dataclasses import dataclass

import trifocal
from trifocal.composition.baselines import Finetune, FinetuneConfig
from trifocal.composition.negatives.textblob_parser import TextBlobParser
from trifocal.concepts.head import Head
from trifocal.metrics.benchmark import Sheet


@dataclass(eq=False)
class Centroid(Head):
    """The nearest class mean."""

    power: float = 1.0
    wants_text = False

    def _fit(self, data):
        self.means_ = data.onehot.T @ data.features

    def _logits(self, features):
        return self.scale * self.power * features @ self.means_.T


@dataclass(frozen=True)
class MineConfig(FinetuneConfig):
    strength: float = 2.0


class Mine(Finetune):
    """Fine-tuning of another strength."""


@dataclass
class Letters:
    """How many letters a caption has."""

    most: int = 9
    name = "letters"
    source = "nothing is needed"
    version = 1

    def check(self, root):
        return []

    def items(self, root):
        return ["a dog", "a cat"]

    def score(self, model, items, *, progress=None):
        sheet = Sheet(self.name, model.name, "counted", version=self.version)
        sheet.add("letters", "mean", sum(map(len, items)) / len(items) / self.most, len(items), 0.0)
        return sheet.rows


def register():
    trifocal.register_head("centroid", Centroid)
    trifocal.register_method("mine", MineConfig, Mine)
    trifocal.register_benchmark("letters", Letters)
    trifocal.register_parser("letters", TextBlobParser)
'''


def install(folder: Path, name: str, content: str, value: str) -> None:
    """Write a package as pip would: a module, and what it says of its entry points."""
    (folder / f"{name}.py").write_text(content)
    facts = folder / f"{name}-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(f"[{plugins.GROUP}]\n{name} = {value}\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of packages that Python finds, and none of which is loaded yet."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(plugins._state, "loaded", False)
    for kind in plugins.KINDS:
        monkeypatch.setitem(plugins._added, kind, {})
    yield tmp_path
    for name in ("mine_for_trifocal", "broken_plugin"):
        sys.modules.pop(name, None)


def test_an_installed_package_adds_to_every_kind(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install(site, "mine_for_trifocal", PLUGIN, "mine_for_trifocal:register")
    assert "centroid" in HEADS
    assert "mine" in METHODS
    assert "letters" in BENCHMARKS
    assert type(make_parser("letters")).__name__ == "TextBlobParser"
    found = trifocal.HeadClassifier("centroid", power=2.0).fit(np.eye(2), ["a", "b"])
    assert list(found.predict(np.eye(2))) == ["a", "b"]
    assert main(["list", "heads"]) == 0
    assert "centroid" in capsys.readouterr().out
    rows = site / "rows.jsonl"
    words = ["eval", "builtin", "letters", "--root", str(site), "--option", "most=5"]
    assert main([*words, "--out", str(rows), "--quiet"]) == 0
    assert json.loads(rows.read_text().splitlines()[0])["value"] == 1.0
    recipe = site / "recipe.yaml"
    recipe.write_text("name: mine\nmethod: {name: mine, strength: 3}\n")
    assert main(["train", str(recipe), "--print"]) == 0
    assert "strength: 3.0" in capsys.readouterr().out


def test_a_plugin_that_fails_is_told_and_left_out(
    site: Path, caplog: pytest.LogCaptureFixture
) -> None:
    install(site, "broken_plugin", "raise RuntimeError('no such thing')", "broken_plugin")
    with caplog.at_level(logging.WARNING):
        assert "gda" in HEADS
    assert "the plugin broken_plugin (broken_plugin) was left out: no such thing" in caplog.text


def test_names_are_given_once(site: Path) -> None:
    head = HEADS["gda"]
    trifocal.register_head("another", head)
    trifocal.register_head("another", head)  # a module may be imported again
    with pytest.raises(UserError, match="a head 'another' already"):
        trifocal.register_head("another", HEADS["ape"])
    with pytest.raises(UserError, match="'gda' is a head of trifocal's own"):
        trifocal.register_head("gda", head)
    with pytest.raises(UserError, match="'spacy' is a parser of trifocal's own"):
        trifocal.register_parser("spacy", lambda: make_parser("textblob"))
    for name in ("", "a b", "a:b", "a/b", " a"):
        with pytest.raises(UserError, match="is no name for a head"):
            trifocal.register_head(name, head)
    plugins.forget("head", "another")
    assert "another" not in HEADS


def test_what_is_none_of_a_kind_is_refused(site: Path) -> None:
    with pytest.raises(UserError, match="lacks 'fit'"):
        trifocal.register_head("odd", dict)
    with pytest.raises(UserError, match="must be a dataclass"):
        trifocal.register_method("odd", dict, dict)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="a benchmark is registered by a dataclass"):
        trifocal.register_benchmark("odd", dict)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="calls itself 'world'; say one name"):
        trifocal.register_benchmark("odd", BENCHMARKS["world"])
    with pytest.raises(UserError, match="a parser is registered by"):
        trifocal.register_parser("odd", 3)  # type: ignore[arg-type]
