"""What a picture is known by: in one run, and among labeled examples.

Within a run a picture is its path, or the object that it is; what is kept on disk is found as
`data/picture_keys.py` says. Where it matters that two pictures are the same whatever they are called (random
views that do not depend on a name; test pictures that were fitted to), it is the content.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable
from pathlib import Path

from PIL import Image
from torch import Tensor

from trifocal.data.held import Held

Picture = str | Path | Image.Image | Tensor | Held


def identity(picture: Picture) -> Hashable:
    """Return what is equal for the same picture within a run, as long as the objects live."""
    if isinstance(picture, str | Path):
        return str(picture)
    return picture if isinstance(picture, Held) else id(picture)


def file_of(picture: Picture) -> Path | None:
    """Return the file that holds a picture; None for one that is open."""
    if isinstance(picture, Held):
        return picture.path
    if isinstance(picture, Path):
        return picture
    return Path(picture) if isinstance(picture, str) else None


def picture_name(picture: Picture) -> str:
    """Return a name of a picture that does not depend on where the data lie; "" if it is open."""
    file = file_of(picture)
    inside = str(picture)[len(str(file)) :] if isinstance(picture, Held) else ""
    return f"{file.name}{inside}" if file is not None else ""


def content_hash(content: bytes, more: str = "") -> bytes:
    """Return the SHA-256 of a picture file's content, and of what else tells it from others."""
    return hashlib.sha256(content + more.encode()).digest()
