"""Folders that nobody may write: one sentence, and nothing is left."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.attempts import Server
from tests.faults.test_full_disk import WRITERS

NAMES = "export", "train", "results", "few-shot rows", "report", "classifier", "explanations"


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Path]:
    """A disk that is mounted read-only, as no right binds root; `tmp` in it may be written."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs"]
    if subprocess.run([*mount, str(disk)], capture_output=True, check=False).returncode:
        pytest.skip("no right to mount a disk")
    try:
        (disk / "tmp").mkdir()
        subprocess.run([*mount, str(disk / "tmp")], check=True)
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk / "tmp")], check=False)
        subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.parametrize("name", NAMES)
def test_a_disk_that_is_read_only(name: str, server: Server, given: Path, locked: Path) -> None:
    done = server.run(WRITERS[name].replace("@", str(given)).split(), locked)
    assert done.status == 2, done.told
    assert "Traceback" not in done.told
    assert "read-only" in done.sentence.lower(), done.sentence
    assert os.listdir(locked) == ["tmp"]


@pytest.mark.skipif(os.getuid() == 0, reason="no right binds root")
@pytest.mark.parametrize("name", NAMES)
def test_a_folder_of_others(name: str, server: Server, given: Path, tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    tmp_path.chmod(0o555)
    done = server.run(WRITERS[name].replace("@", str(given)).split(), tmp_path)
    tmp_path.chmod(0o755)
    assert done.status == 2, done.told
    assert "Traceback" not in done.told
    assert "Permission denied" in done.sentence, done.sentence
    assert os.listdir(tmp_path) == ["tmp"]
