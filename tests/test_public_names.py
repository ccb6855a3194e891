"""What `dir(trifocal)` lists: public things alone, each typed, described, and with an example."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from typing import Any

import pytest

import trifocal

NAMES = [name for name in dir(trifocal) if name != "__version__"]


def documented(name: str) -> Any:
    """Return what is described: of a package that can be called, its function."""
    found = getattr(trifocal, name)
    if inspect.ismodule(found):
        return getattr(importlib.import_module(f"trifocal.{name}.call"), name)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_described_with_an_example(name: str) -> None:
    found = documented(name)
    text = inspect.getdoc(found) or ""
    assert ">>> " in text, f"{name} has no example"
    assert text.split("\n")[0].endswith(".")
    if inspect.isfunction(found):
        annotated = inspect.signature(found)
        assert annotated.return_annotation is not inspect.Signature.empty
        for parameter in annotated.parameters.values():
            assert parameter.annotation is not inspect.Parameter.empty


def test_nothing_else_is_listed() -> None:
    assert sorted(dir(trifocal)) == sorted(trifocal.__all__)
    assert not [name for name in NAMES if name.startswith("_")]


def test_the_import_is_light() -> None:
    code = "import sys, trifocal; dir(trifocal); print({'torch', 'numpy'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
