"""What is in the source's folders is in the wheel."""

from __future__ import annotations

import tomllib
from pathlib import Path

from tests.conftest import REPOSITORY

SOURCE = REPOSITORY / "src" / "trifocal"


def packaged() -> set[Path]:
    """Return the files beside modules that the project says belong to it."""
    facts = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    found: set[Path] = set()
    for package, patterns in facts["tool"]["setuptools"]["package-data"].items():
        folder = REPOSITORY / "src" / package.replace(".", "/")
        for pattern in patterns:
            found |= {*(SOURCE.rglob(pattern) if package == "*" else folder.glob(pattern))}
    return found


def test_every_file_ships():
    files = {
        path
        for path in SOURCE.rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc") and path.name[0] != "."
    }
    assert {*map(str, files - packaged())} == set()


def test_every_folder_with_modules_is_a_package():
    folders = {path.parent for path in SOURCE.rglob("*.py") if "__pycache__" not in path.parts}
    assert {*map(str, (one for one in folders if not (one / "__init__.py").is_file()))} == set()
