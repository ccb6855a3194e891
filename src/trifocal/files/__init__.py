"""Files and folders that are either wholly there or not there at all.

A reader never sees a half-written result: content is written beside its final place, flushed to
the disk, and renamed. A kill at any moment leaves the old version or the new one.

A target that a user named has a `kind`, and is guarded (see `guard.py`). Without one, what is
written is a part of what is ours already: a checkpoint of a run, an entry of a cache.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from trifocal.errors import UserError
from trifocal.files.guard import (
    MARKER,
    SOFTWARE,
    SOFTWARE_TAG,
    Place,
    archive_comment,
    check_apart,
    check_file,
    check_folder,
    is_marked,
    kind_of,
    marker,
    sizes_of,
)

__all__ = [
    "MARKER",
    "SOFTWARE",
    "SOFTWARE_TAG",
    "Place",
    "archive_comment",
    "atomic_folder",
    "atomic_write",
    "check_apart",
    "check_file",
    "check_folder",
    "is_marked",
    "kind_of",
    "mark_folder",
    "marker",
]

# How writers without an errno say that the disk is full: Rust's, torch's, the system's.
_FULL = ("No space left", "os error 28", "file write failed", "quota exceeded")


@contextmanager
def atomic_write(path: Place, kind: str = "", *, force: bool = False) -> Iterator[Path]:
    """Yield a path beside `path` to write to; rename it to `path` if the block succeeds.

    Args:
        path: The file.
        kind: What it is ("report"), where a user named it; see `check_file`.
        force: Replace an older one of that kind.

    Raises:
        UserError: a user's file would be replaced, or nothing can be written there.
    """
    target = check_file(path, kind, force=force) if kind else Path(path)
    with _told(path, kind), _parents_of(target):
        handle, name = tempfile.mkstemp(
            dir=target.parent, prefix=f".{target.name[:100]}.", suffix=".part"
        )
        os.close(handle)
        aside = Path(name)
        try:
            yield aside
            _flush(aside)
            aside.chmod(0o644)  # mkstemp makes it private; a result is as readable as its folder
            if kind:
                check_file(path, kind, force=force)  # somebody may have written there meanwhile
            os.replace(aside, target)
            _flush(target.parent)
        finally:
            aside.unlink(missing_ok=True)


@contextmanager
def atomic_folder(
    path: Place,
    kind: str = "",
    *,
    force: bool = False,
    older: Sequence[str] = (),
    later: Sequence[str] = (),
) -> Iterator[Path]:
    """Yield a folder beside `path` to fill; rename it to `path` if the block succeeds.

    Args:
        path: The folder. Without a `kind`, an older one is replaced.
        kind: What it is ("classifier"), where a user named it; see `check_folder`. The folder then
            gets its marker.
        force: Replace an older one of that kind.
        older: See `check_folder`.
        later: See `check_folder`.

    Raises:
        UserError: a user's work would be replaced, or nothing can be written there.
    """

    def checked() -> Path:
        if not kind:
            return Path(path)
        return check_folder(path, kind, force=force, older=older, later=later)

    target = checked()
    with _told(path, kind), _parents_of(target):
        prefix = f".{target.name[:100]}."
        aside = Path(tempfile.mkdtemp(dir=target.parent, prefix=prefix, suffix=".part"))
        try:
            yield aside
            if kind:
                content = json.dumps(marker(kind, sizes_of(aside)), indent=1) + "\n"
                (aside / MARKER).write_text(content, encoding="utf-8")
            for file in aside.rglob("*"):
                _flush(file)
            aside.chmod(0o755)
            _swap(aside, checked())
            _flush(target.parent)
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def mark_folder(folder: Path, kind: str) -> None:
    """Make a folder that is ours from now on, whatever it will hold; see `is_marked`."""
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(folder / MARKER) as aside:
        aside.write_text(json.dumps(marker(kind, {}), indent=1) + "\n", encoding="utf-8")


@contextmanager
def _told(path: Place, kind: str) -> Iterator[None]:
    """Say in one sentence why nothing can be written where a user wanted it."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        about = isinstance(error, OSError) and _of_target(error, path)
        reason = getattr(error, "strerror", None) if about else None
        if not reason and any(words.lower() in str(error).lower() for words in _FULL):
            reason = "No space left on device"
        if not kind or not reason:
            raise
        raise UserError(
            f"cannot write {path} ({reason}); make room, or choose another place."
        ) from error


def _of_target(error: OSError, path: Place) -> bool:
    """Return whether an error is about what is written, not about what is read meanwhile."""
    if not isinstance(error.filename, str):
        return True
    return Path(error.filename).is_relative_to(Path(os.path.realpath(path)).parent)


@contextmanager
def _parents_of(target: Path) -> Iterator[None]:
    """Make the folders that a target lies in; where it fails, remove them again."""
    missing = [folder for folder in target.parents if not folder.exists()]
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        for folder in missing:
            with suppress(OSError):
                folder.rmdir()
        raise


def _swap(aside: Path, target: Path) -> None:
    """Rename a folder to `target`; what stood there goes when the new one is in its place."""
    if not target.exists():
        os.replace(aside, target)
        return
    old = Path(tempfile.mkdtemp(dir=target.parent, prefix=".old."))
    try:
        os.replace(target, old / target.name)
    except OSError:
        old.rmdir()
        raise
    try:
        os.replace(aside, target)
    except OSError:
        os.replace(old / target.name, target)
        old.rmdir()
        raise
    shutil.rmtree(old, ignore_errors=True)


def _flush(path: Path) -> None:
    """Ask the system to put a file's or a folder's content onto the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        pass  # some file systems cannot flush a folder; the rename is still atomic
    finally:
        os.close(descriptor)
