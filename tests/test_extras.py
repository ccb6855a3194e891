"""What an error tells people to install exists, and is told in one way."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from trifocal.errors import install

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src" / "trifocal").rglob("*.py"))


def extras() -> set[str]:
    made = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return set(made["project"]["optional-dependencies"])


def test_errors_name_extras_that_there_are() -> None:
    named = {
        name
        for file in SOURCES
        for name in re.findall(r"\binstall\([\"'](.+?)[\"']\)", file.read_text())
    }
    assert named
    assert named <= extras()


@pytest.mark.parametrize("file", [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"])
def test_documents_name_extras_that_there_are(file: Path) -> None:
    found = re.findall(r"(?:trifocal|\.)\[([\w,-]+)\]", file.read_text(encoding="utf-8"))
    assert {one for each in found for one in each.split(",")} <= extras()


def test_one_place_says_how() -> None:
    told = [file.name for file in SOURCES if "pip install 'trifocal[" in file.read_text()]
    assert told == ["errors.py"]
    assert install("text") == "`pip install 'trifocal[text]'`"
