"""Long JSON files, read one entry at a time.

A leaderboard file lists millions of entries; as one Python object it would take gigabytes. Here
an entry is decoded, handed on and forgotten. A file is plain JSON, or a zip that holds one.
"""

from __future__ import annotations

import io
import json
import os
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from trifocal.errors import UserError

MAX_BYTES = 4 << 30  # of a whole file, unpacked
_MAX_ENTRY = 256 << 20  # characters of one entry
_CHUNK = 1 << 20
_NOT_SPACE = re.compile(r"[^ \t\n\r]")
_AFTER = frozenset(" \t\n\r,:]}")


def json_list(path: str | os.PathLike[str]) -> Iterator[Any]:
    """Yield the entries of a file that holds one JSON list.

    Raises:
        UserError: The file is missing, too large, not JSON, or holds something else than a list.
    """
    with _opened(path) as handle:
        scanner = _Scanner(handle, path)
        if scanner.peek() != "[":
            raise UserError(f"{path} must hold a JSON list, [...], of entries")
        scanner.skip("[")
        if scanner.peek() != "]":
            yield scanner.value()
            while scanner.peek() == ",":
                scanner.skip(",")
                yield scanner.value()
        scanner.skip("]")
        scanner.end()


def json_mapping(path: str | os.PathLike[str]) -> Iterator[tuple[str, Any]]:
    """Yield the keys and values of a file that holds one JSON object.

    Raises:
        UserError: The file is missing, too large, not JSON, or holds something else.
    """
    with _opened(path) as handle:
        scanner = _Scanner(handle, path)
        if scanner.peek() != "{":
            raise UserError(f"{path} must hold one JSON object, {{...}}")
        scanner.skip("{")
        if scanner.peek() != "}":
            yield scanner.pair()
            while scanner.peek() == ",":
                scanner.skip(",")
                yield scanner.pair()
        scanner.skip("}")
        scanner.end()


def json_file(path: str | os.PathLike[str]) -> Any:
    """Return the whole content of a JSON file.

    Raises:
        UserError: The file is missing, too large, or not JSON.
    """
    with _opened(path) as handle:
        scanner = _Scanner(handle, path)
        value = scanner.value()
        scanner.end()
    return value


class _Scanner:
    """A window on a text that grows until the next JSON value is whole."""

    def __init__(self, handle: TextIO, path: str | os.PathLike[str]) -> None:
        self._handle, self._path = handle, path
        self._text, self._at, self._before, self._ended = "", 0, 0, False
        self._decode = json.JSONDecoder().raw_decode

    def peek(self) -> str:
        """Return the next character that is not space, "" at the end."""
        while True:
            found = _NOT_SPACE.search(self._text, self._at)
            self._at = found.start() if found else len(self._text)
            if found:
                return found[0]
            if not self._grow():
                return ""

    def skip(self, mark: str) -> None:
        if self.peek() != mark:
            raise self._fault(f"{mark!r} expected")
        self._at += 1

    def value(self) -> Any:
        self.peek()
        while True:
            try:
                value, end = self._decode(self._text, self._at)
            except json.JSONDecodeError as error:
                reason = error.msg  # the error itself holds the whole text
            except RecursionError:
                raise self._fault("too deeply nested") from None
            except ValueError:  # thousands of digits
                raise self._fault("a number too long") from None
            else:
                # A number that nothing follows in the window may go on: 1 of 12, -0 of -0.5.
                if self._text[end : end + 1] not in _AFTER and self._grow():
                    continue
                self._at = end
                return value
            if len(self._text) - self._at > _MAX_ENTRY or not self._grow():
                raise self._fault(reason)

    def pair(self) -> tuple[str, Any]:
        if self.peek() != '"':
            raise self._fault("a key expected")
        key = self.value()
        self.skip(":")
        return key, self.value()

    def end(self) -> None:
        if self.peek():
            raise self._fault("more after its end")

    def _grow(self) -> bool:
        """Read on; return whether there was more."""
        try:
            # As much again as there is: a long entry is tried a few times, not a thousand.
            size = max(_CHUNK, len(self._text) - self._at)
            more = "" if self._ended else self._handle.read(size)
        except UnicodeDecodeError:
            raise UserError(f"{self._path} is not UTF-8 text") from None
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
            raise UserError(f"{self._path} is damaged ({error}); get it again") from None
        if not more:
            self._ended = True
            return False
        self._before += self._at
        if self._before + len(self._text) > MAX_BYTES:
            raise UserError(f"{self._path} unpacks to more than {MAX_BYTES >> 30} GiB")
        text, self._text = self._text[self._at :], ""
        text += more  # in its place: a long entry is held twice at most
        self._text, self._at = text, 0
        return True

    def _fault(self, reason: str) -> UserError:
        place = self._before + self._at
        return UserError(f"{self._path} is not JSON at character {place} ({reason}); get it again")


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[TextIO]:
    """Open a JSON file, or the only JSON file in a zip."""
    file = Path(path)
    if not file.is_file():
        raise UserError(f"there is no file {file}")
    if not zipfile.is_zipfile(file):
        if file.stat().st_size > MAX_BYTES:
            raise UserError(f"{file} is larger than {MAX_BYTES >> 30} GiB")
        with file.open(encoding="utf-8-sig") as handle:
            yield handle
        return
    with _unpacked(file) as archive:
        found = [
            info
            for info in archive.infolist()
            if info.filename.endswith(".json") and not info.filename.startswith("__MACOSX/")
        ]
        if len(found) != 1:
            raise UserError(f"{file} holds {len(found)} JSON files; give an archive of just one")
        if found[0].file_size > MAX_BYTES:
            raise UserError(f"{file} unpacks to more than {MAX_BYTES >> 30} GiB")
        if found[0].flag_bits & 1:
            raise UserError(f"{file} is encrypted; unpack it first")
        try:
            member = archive.open(found[0])
        except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError) as error:
            raise UserError(f"{file} is damaged ({error}); get it again") from None
        with io.TextIOWrapper(member, encoding="utf-8-sig") as handle:  # it closes the member
            yield handle


def _unpacked(file: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(file)
    except (zipfile.BadZipFile, OSError, NotImplementedError) as error:
        raise UserError(f"{file} is damaged ({error}); get it again") from None
