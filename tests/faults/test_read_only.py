"""Folders that a user must not write: one sentence, and nothing is left."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.faults.attempts import NOBODY, Server
from tests.faults.test_full_disk import WRITERS

_OURS = (*Path(__file__).resolve().parents, *Path(sys.base_prefix, "x").parents)


@pytest.mark.parametrize("name", [name for name in WRITERS if name != "negatives"])
def test_read_only(name: str, server: Server, given: Path, tmp_path: Path) -> None:
    if os.getuid() == 0 and not all(one.stat().st_mode & 0o005 == 0o005 for one in _OURS):
        pytest.skip("another user may not read the code or the interpreter")
    for folder in (given, *given.parents, tmp_path, *tmp_path.parents):
        if os.access(folder, os.W_OK) and "pytest" in str(folder):
            folder.chmod(0o755)
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp").chmod(0o777)
    tmp_path.chmod(0o555)
    words = WRITERS[name].replace("@", str(given)).split()
    done = server.run(words, tmp_path, uid=NOBODY if os.getuid() == 0 else 0)
    tmp_path.chmod(0o755)
    assert done.status == 2, done.told
    assert "Traceback" not in done.told
    assert any(word in done.sentence for word in ("read-only", "Permission denied")), done.sentence
    assert os.listdir(tmp_path) == ["tmp"]
