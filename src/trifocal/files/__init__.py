"""Files and folders that are either wholly there or not there at all.

A reader never sees a half-written result: content is written beside its final place, flushed to
the disk, and renamed. A kill at any moment leaves the old version or the new one.

A target that a user named has a `kind`, and is guarded (see `guard.py`). Without one, what is
written is a part of what is ours already: a checkpoint of a run, an entry of a cache.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from trifocal.errors import UserError
from trifocal.files.asides import aside_of, swap, sweep
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
from trifocal.files.lines import Lines, growing

__all__ = [
    "MARKER",
    "SOFTWARE",
    "SOFTWARE_TAG",
    "Lines",
    "Place",
    "archive_comment",
    "atomic_folder",
    "atomic_write",
    "check_apart",
    "check_file",
    "check_folder",
    "failure",
    "growing",
    "is_marked",
    "kind_of",
    "mark_folder",
    "marker",
    "sweep",
]

# How writers without an errno say that the disk is full: Rust's, torch's, SQLite's, the system's.
_FULL = (
    *("no space left", "os error 28", "quota exceeded", "disk is full"),
    *("file write failed", "iostream error", "inline_container.cc"),
)
# What the system says of a place where no more, or nothing at all, can be written.
_REFUSED = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO),
)


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
    with _told(path, kind), _parents_of(target), aside_of(target) as folder:
        aside = folder / target.name
        aside.touch()
        mode = stat.S_IMODE(aside.stat().st_mode)
        yield aside
        aside.chmod(mode)  # some writers let nobody else read
        _flush(aside)
        if kind:
            check_file(path, kind, force=force)  # somebody may have written there meanwhile
        os.replace(aside, target)
        _flush(target.parent)


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
    with _told(path, kind), _parents_of(target), aside_of(target) as aside:
        mode = _usual_mode(aside)
        yield aside
        if kind:
            content = json.dumps(marker(kind, sizes_of(aside)), indent=1) + "\n"
            (aside / MARKER).write_text(content, encoding="utf-8")
        for file in aside.rglob("*"):
            if file.is_file() and not file.is_symlink():
                file.chmod(mode)
            _flush(file)
        aside.chmod(0o755)
        _place(aside, checked)
        _flush(target.parent)


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
        reason = reason or _full(error)
        if not kind or not reason:
            raise
        raise UserError(
            f"cannot write {path} ({reason}); make room, or choose another place."
        ) from error


def failure(error: Exception) -> str:
    """Return a sentence about a disk that is full or a place without the right to it, or ""."""
    if isinstance(error, OSError) and error.errno in _REFUSED:
        reason = ": ".join(str(each) for each in (error.strerror, error.filename) if each)
    else:
        reason = _full(error)
    return reason and f"cannot go on ({reason}); put that right, and run the same command again."


def _full(error: Exception) -> str:
    told = str(error).lower()
    if "file too large" in told:
        return "File too large"
    return "No space left on device" if any(words in told for words in _FULL) else ""


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


def _place(aside: Path, checked: Callable[[], Path]) -> None:
    """Rename a folder to its target, which is checked once more."""
    try:
        target = checked()
        os.replace(aside, target)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        swap(aside, checked())  # an older one stands there, or another process was faster


def _usual_mode(folder: Path) -> int:
    """Return the permissions that a new file gets here, whatever its writer thinks of it."""
    probe = folder / ".mode"
    probe.touch()
    mode = stat.S_IMODE(probe.stat().st_mode)
    probe.unlink()
    return mode


def _flush(path: Path) -> None:
    """Ask the system to put a file's or a folder's content onto the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        pass  # some file systems cannot flush a folder; the rename is still atomic
    finally:
        os.close(descriptor)
