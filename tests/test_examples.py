"""The examples run, leave nothing behind, and end with numbers."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tests import forked

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))


@pytest.mark.slow
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs(path: Path, tmp_path: Path) -> None:
    """Those that train take fewer steps where they are told a number; all else is as it stands."""
    few = ["6"] if "steps: int" in path.read_text(encoding="utf-8") else []
    done = forked.run([sys.executable, str(path), *few], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert re.search(r"\d\.\d", done.stdout.splitlines()[-1])
    assert list(tmp_path.iterdir()) == []  # it leaves nothing behind


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_one_page(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 80
