"""Pictures that are the same file, or have the same bytes, under several names.

A picture that is fitted to and tested on makes a test too easy; one that occurs twice counts twice.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path

logger = logging.getLogger(__name__)

_HEAD = 4096  # bytes that tell most files of the same size apart
_MOST = 200_000  # files; to compare more would take longer than what is done with them


def copies(files: Sequence[Path], source: str = "") -> list[list[int]]:
    """Return the groups of indices whose files are the same, each of two or more, and say them.

    Only files of the same size are opened, and only those that begin alike are read to the end.

    Args:
        files: N paths; one that cannot be read is like no other.
        source: What to call them in the log; empty to say nothing.
    """
    if len(files) > _MOST:
        logger.warning(
            "%s: %d pictures are too many to look for copies among them", source, len(files)
        )
        return []
    groups = [list(range(len(files)))]
    for key in (_size, _head, _whole):
        groups = [part for group in groups for part in _parted(group, files, key)]
    if groups and source:
        logger.warning(
            "%s: %d pictures occur more than once (%s)",
            source,
            len(groups),
            ", ".join(" = ".join(files[i].name for i in group) for group in groups[:3])
            + (", ..." if len(groups) > 3 else ""),
        )
    return sorted(groups)


def _parted(
    group: list[int], files: Sequence[Path], key: Callable[[Path], Hashable]
) -> list[list[int]]:
    """Return the parts of two or more whose files have the same key."""
    parts: dict[Hashable, list[int]] = {}
    for index in group:
        try:
            parts.setdefault(key(files[index]), []).append(index)
        except OSError:
            continue
    return [part for part in parts.values() if len(part) > 1]


def _size(file: Path) -> int:
    return file.stat().st_size


def _head(file: Path) -> bytes:
    with file.open("rb") as stream:
        return stream.read(_HEAD)


def _whole(file: Path) -> bytes:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()
