"""The snippets of docs/python.md, and of registering in docs/extend.md, run as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from trifocal import plugins

_BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


def blocks(name: str) -> list[str]:
    return _BLOCK.findall((REPOSITORY / "docs" / name).read_text(encoding="utf-8"))


SNIPPETS = [*blocks("python.md"), blocks("extend.md")[0]]


@pytest.mark.parametrize("code", SNIPPETS, ids=range(len(SNIPPETS)))
def test_a_snippet_runs(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for kind in plugins.KINDS:
        monkeypatch.setitem(plugins._added, kind, {})
    exec(compile(code, "docs", "exec"), {})
