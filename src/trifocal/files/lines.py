"""Files of lines that grow: one process at a time, and a group of lines wholly or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from trifocal.errors import UserError
from trifocal.files.asides import hold


class Lines:
    """An open file of lines.

    Args:
        path: As the user named it.
        file: Open for reading and adding, without a buffer.
    """

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path, self._file = path, file

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return os.fstat(self._file.fileno()).st_size

    def read(self) -> bytes:
        """Return the whole content."""
        self._file.seek(0)
        return self._file.read()

    def cut(self, size: int) -> None:
        """Leave only the first bytes."""
        self._file.truncate(size)

    def add(self, text: bytes) -> None:
        """Add some lines, and see them onto the disk; after a failure the file is as before.

        Raises:
            UserError: they cannot be written.
        """
        before, rest = self.size, memoryview(text)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            self.cut(before)
            raise UserError(
                f"cannot write {self.path} ({error.strerror}); make room, and run the same command "
                "again."
            ) from error


@contextmanager
def growing(path: str | os.PathLike[str], *, wait: bool = True) -> Iterator[Lines]:
    """Open a file of lines, made where it is missing, to this process alone.

    Args:
        path: The file.
        wait: Wait while another process has it open so.

    Raises:
        UserError: it cannot be written, or another process has it and `wait` is false.
    """
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        file = open(target, "a+b", buffering=0)  # noqa: SIM115 - what follows is another error
    except OSError as error:
        raise UserError(f"cannot write {path} ({error.strerror}); give another file.") from None
    with file:
        if hold(file.fileno(), wait=wait) is False:
            raise UserError(
                f"another process is writing {path}; wait for it, or give another file."
            )
        yield Lines(target, file)
