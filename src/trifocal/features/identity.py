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


def content_hash(content: bytes, more: str = "") -> bytes:
    """Return the SHA-256 of a picture file's content, and of what else tells it from others."""
    return hashlib.sha256(content + more.encode()).digest()
