"""Every `>>>` in a docstring is run."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest
from PIL import Image

import trifocal
from trifocal import plugins

PACKAGE = Path(trifocal.__file__).parent


def module_of(path: Path) -> str:
    return ".".join(("trifocal", *path.relative_to(PACKAGE).with_suffix("").parts))


def holds_examples(path: Path) -> bool:
    return ">>> " in path.read_text(encoding="utf-8")


MODULES = sorted(map(module_of, filter(holds_examples, PACKAGE.rglob("*.py"))))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where examples run: `photos` holds a few pictures of two classes, `new.jpg` is another."""
    for name, color in (("red", (200, 30, 30)), ("blue", (30, 30, 200))):
        for number in range(4):
            path = tmp_path / "photos" / name / f"{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (64, 64 + number), color).save(path)
    Image.new("RGB", (64, 64), (190, 40, 40)).save(tmp_path / "new.jpg")
    monkeypatch.chdir(tmp_path)
    for kind in plugins.KINDS:  # what an example registers is of that example alone
        monkeypatch.setitem(plugins._added, kind, {})
    return tmp_path


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("module", MODULES)
def test_examples_of_docstrings(module: str) -> None:
    found = doctest.testmod(importlib.import_module(module), optionflags=doctest.ELLIPSIS)
    assert found.attempted
    assert not found.failed
