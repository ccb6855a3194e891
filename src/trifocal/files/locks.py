"""Locks on open files: they end with the process that has them, however it ends."""

from __future__ import annotations

import errno

try:
    import fcntl
except ImportError:  # no POSIX system
    fcntl = None

_TAKEN = (errno.EAGAIN, errno.EACCES)


def hold(descriptor: int, *, wait: bool) -> bool | None:
    """Lock an open file or folder until it is closed.

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
