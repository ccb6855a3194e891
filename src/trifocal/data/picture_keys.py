"""What a picture is known by on disk, from run to run, without its being opened.

To read every picture would take longer than anything else on a list that is already known.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from trifocal.version import __version__

KEY_BYTES = 16


def picture_key(file: Path, part: str = "") -> bytes:
    """Return the key of a picture in a file: a hash of full path, size and time of change.

    The rule of make and git: a picture whose content changes while its size and its time (in
    nanoseconds) stay is not noticed; one that is moved is embedded again.

    Args:
        file: The file.
        part: Which picture of the file, or how it is decoded, where that can differ.
    """
    try:
        status = file.stat()
        stamp = f"{status.st_size} {status.st_mtime_ns}"
    except OSError:
        stamp = "missing"  # never kept, since it cannot be embedded
    more = f"\0{part}" if part else ""
    return _hash(os.fsencode(f"{os.path.abspath(file)}\0{stamp}{more}"))


def drafted_part(draft: int | None) -> str:
    """Return what a reduced scale of decoding adds to a key; see `open_image`."""
    return "" if draft is None else f"draft {draft}"


def drawn_key(*what: object) -> bytes:
    """Return the key of a picture that this version draws from some numbers and names."""
    return _hash(repr((__version__, *what)).encode())


def _hash(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()[:KEY_BYTES]
