"""What is written beside its final place, in a folder that says whose it is.

What becomes NAME is first in `.NAME.xxxxxxxx.part`, with all that a library may put beside it
(safetensors has temporary files of its own). The writer has that folder locked, so that what a
killed process left can be told from what another one is writing just now: whoever writes NAME next
removes it.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # no POSIX system
    fcntl = None

_LONGEST = 100  # characters of a name that are told; a file system allows 255 bytes
_FROM_HERE, _EXCHANGE = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
_TAKEN = (errno.EAGAIN, errno.EACCES)


def hold(descriptor: int, *, wait: bool) -> bool | None:
    """Lock an open file or folder until it is closed, or its process ends in any way.

    Args:
        descriptor: Of the open file.
        wait: Wait while another process has it.

    Returns:
        Whether it is ours; None where the system or the file system knows no locks.
    """
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return False if error.errno in _TAKEN else None
    return True


@contextmanager
def aside_of(target: Path) -> Iterator[Path]:
    """Yield a new empty folder beside a target; it is gone afterwards, unless renamed."""
    sweep(target.parent, target.name)
    while True:
        prefix = f".{target.name[:_LONGEST]}."
        aside = Path(tempfile.mkdtemp(dir=target.parent, prefix=prefix, suffix=".part"))
        descriptor = os.open(aside, os.O_RDONLY)
        hold(descriptor, wait=True)
        if _is(aside, descriptor):
            break
        os.close(descriptor)  # it was taken for a dead one before it was locked
    try:
        yield aside
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        os.close(descriptor)


def sweep(folder: Path, name: str | None = None) -> None:
    """Remove what killed processes left in a folder, of one target or of all.

    An old version that was moved away, and whose successor never came, is put back.
    """
    whose = r".+" if name is None else re.escape(name[:_LONGEST])
    left = re.compile(rf"\.({whose})\.[a-z0-9_]{{8}}\.(part|old)")
    with suppress(OSError):
        for entry in os.listdir(folder):
            found = left.fullmatch(entry)
            if found is not None:
                target = folder / (name or found[1])
                _clear(folder / entry, target if found[2] == "old" else None)


def swap(aside: Path, target: Path) -> None:
    """Put a folder in the place of another; at every moment one of them stands there."""
    if _exchanged(aside, target):
        return  # the old one has the name of the new one now, and goes as that goes
    old = aside.with_suffix(".old")
    descriptor = os.open(target, os.O_RDONLY)
    try:
        hold(descriptor, wait=True)
        os.replace(target, old)
        try:
            os.replace(aside, target)
        except OSError:
            os.replace(old, target)
            raise
        shutil.rmtree(old, ignore_errors=True)
    finally:
        os.close(descriptor)


def _clear(left: Path, target: Path | None) -> None:
    """Remove what nobody has locked, or put it back where nothing stands."""
    with suppress(OSError):
        descriptor = os.open(left, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            if not hold(descriptor, wait=False) or not _is(left, descriptor):
                return
            if target is not None and not os.path.lexists(target):
                os.replace(left, target)
            else:
                shutil.rmtree(left, ignore_errors=True)
        finally:
            os.close(descriptor)


def _is(path: Path, descriptor: int) -> bool:
    """Return whether an open file still stands under its name."""
    try:
        return os.path.samestat(os.lstat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _exchanged(one: Path, other: Path) -> bool:
    """Let two folders change names in one go, where system and file system can."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    names = os.fsencode(one), os.fsencode(other)
    if rename(_FROM_HERE, names[0], _FROM_HERE, names[1], _EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EXDEV):
        return False
    raise OSError(number, os.strerror(number), os.fspath(other))
