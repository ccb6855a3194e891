"""What a picture is known by: in one run, from run to run, and among labeled examples.

Within a run a picture is its path, or the object that it is. What is kept on disk is found by path,
size and time, since to read every picture would take longer than anything else on a list that is
already known. Where it matters that two pictures are the same whatever they are called (random
views that do not depend on a name; test pictures that were fitted to), it is the content.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Hashable
from pathlib import Path

from PIL import Image
from torch import Tensor

KEY_BYTES = 16

Picture = str | Path | Image.Image | Tensor


def identity(picture: Picture) -> Hashable:
    """Return what is equal for the same picture within a run, as long as the objects live."""
    return str(picture) if isinstance(picture, str | Path) else id(picture)


def picture_key(file: Path) -> bytes:
    """Return what a picture is known by on disk: a hash of full path, size and time of change.

    The rule of make and git: a picture whose content changes while its size and its time (in
    nanoseconds) stay is not noticed; one that is moved is embedded again.
    """
    try:
        status = file.stat()
        stamp = f"{status.st_size} {status.st_mtime_ns}"
    except OSError:
        stamp = "missing"  # never kept, since it cannot be embedded
    return hashlib.sha256(os.fsencode(f"{os.path.abspath(file)}\0{stamp}")).digest()[:KEY_BYTES]


def content_hash(content: bytes, more: str = "") -> bytes:
    """Return the SHA-256 of a picture file's content, and of what else tells it from others."""
    return hashlib.sha256(content + more.encode()).digest()
