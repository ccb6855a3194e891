"""What work is put on: a device for a model, cores for processes and threads."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from trifocal.errors import UserError


def usable_cores() -> int:
    """Return how many cores this process may use, which may be fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def pick_device(name: str) -> str:
    """Return the device to use for `name`; "auto" takes a GPU where there is one."""
    import torch

    if name != "auto":
        return name
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


@contextmanager
def usable_device(name: str) -> Iterator[str]:
    """Yield the device to load a model onto; one that cannot be used is a user's error.

    Raises:
        UserError: the block could not put anything there.
    """
    device = pick_device(name)
    try:
        yield device
    except (RuntimeError, AssertionError) as error:
        if device == "cpu":
            raise
        reason = str(error).splitlines()[0].rstrip(".")
        raise UserError(f"the device {device!r} cannot be used ({reason}); try cpu.") from None
