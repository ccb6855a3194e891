"""Files and folders that are either wholly there or not there at all.

A reader never sees a half-written result: content is written beside its final place, flushed to
the disk, and renamed. A kill at any moment leaves the old version or the new one.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def _flush(path: Path) -> None:
    """Ask the system to put a file's or a folder's content onto the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        pass  # some file systems cannot flush a folder; the rename is still atomic
    finally:
        os.close(descriptor)


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a path beside `path` to write to; rename it to `path` if the block succeeds."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
    os.close(handle)
    aside = Path(name)
    try:
        yield aside
        _flush(aside)
        aside.chmod(0o644)  # mkstemp makes it private; a result is as readable as its folder
        os.replace(aside, target)
        _flush(target.parent)
    finally:
        aside.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a folder beside `path` to fill; rename it to `path` if the block succeeds.

    An older folder of that name is replaced.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part"))
    try:
        yield aside
        for file in aside.rglob("*"):
            _flush(file)
        aside.chmod(0o755)
        old = None
        if target.exists():
            old = Path(tempfile.mkdtemp(dir=target.parent, prefix=".old."))
            os.replace(target, old / target.name)
        os.replace(aside, target)
        _flush(target.parent)
        if old is not None:
            shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
