"""Where the bytes of a picture lie: a file of its own, or a part of a larger one, such as a tar."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from trifocal.data.images import BadImage, read_image_file


class FilePart(NamedTuple):
    """A file, or some bytes of it."""

    path: str
    start: int = 0
    size: int | None = None  # None for the whole file

    def read(self) -> bytes:
        """Return the bytes.

        Raises:
            BadImage: the file is missing, or cannot be read so far.
        """
        if self.size is None:
            return read_image_file(Path(self.path))
        try:
            with open(self.path, "rb") as file:
                file.seek(self.start)
                content = file.read(self.size)
        except OSError as error:
            raise BadImage(self.path, error.strerror or "cannot be read") from None
        if len(content) < self.size:
            raise BadImage(self.path, "the file is cut short")
        return content
