"""`trifocal list`: a line for each name, which the command that takes it knows."""

from __future__ import annotations

import json

import pytest

from trifocal.apps.list.command import aligned
from trifocal.apps.list.options import KINDS
from trifocal.cli import main
from trifocal.clip.names import canonical_name
from trifocal.concepts.head_registry import HEADS
from trifocal.evaluate.registry import BENCHMARKS
from trifocal.recipes import find_recipe
from trifocal.train.build import METHODS


def names(kind: str, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    assert main(["list", kind, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("kind", KINDS)
def test_one_line_each_in_eighty_columns(
    kind: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["list", kind]) == 0
    lines = capsys.readouterr().out.splitlines()
    found = names(kind, capsys)
    assert [line.split()[0] for line in lines] == list(found)
    assert max(map(len, lines)) <= 80
    assert all(about and not about.endswith(".") for about in found.values())


def test_what_is_listed_is_what_commands_know(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(names("benchmarks", capsys)) == list(BENCHMARKS)
    assert list(names("methods", capsys)) == list(METHODS)
    assert list(names("heads", capsys)) == list(HEADS)
    models = names("models", capsys)
    assert "builtin" in models
    assert all(canonical_name(name) == name for name in models)
    assert all(find_recipe(name).is_file() for name in names("recipes", capsys))


def test_a_head_with_a_setting_is_told_by_that(capsys: pytest.CaptureFixture[str]) -> None:
    assert names("heads", capsys)["ccli-tf"] == "ccli with head=tf"


def test_what_does_not_fit_is_cut() -> None:
    cut = aligned({"a": "one two three", "long": "x"}, 14)
    assert list(cut) == ["a     one …", "long  x"]
