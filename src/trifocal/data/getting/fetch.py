"""One file from a plain address: resumed where it was cut, checked, and only then put in its place.

What has come so far lies beside the target as `.NAME.trifocal-part`, with a note of the address and
of the server's tag; it is gone on with only where both are still the same.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import shutil
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trifocal.data.getting.origins import RemoteFile
from trifocal.errors import UserError
from trifocal.files import SOFTWARE, atomic_write
from trifocal.progress import Progress, Quiet

_CHUNK = 1 << 20
_TRIES = 3
_SECONDS = 60  # without a byte
_DROPPED = (http.client.HTTPException, ConnectionError, TimeoutError, urllib.error.URLError)
_GATED, _GONE = (401, 403), (404, 410)


@dataclass(frozen=True)
class _Part:
    """What has come of a file so far."""

    path: Path
    source: RemoteFile

    @property
    def note(self) -> Path:
        return self.path.with_name(self.path.name + ".json")

    def tag(self) -> str:
        """Return the tag under which the bytes here were sent; "" where they must not be used."""
        try:
            content = json.loads(self.note.read_text(encoding="utf-8"))
            return str(content["tag"]) if content["url"] == self.source.url else ""
        except (OSError, ValueError, KeyError, TypeError):
            return ""

    def begin(self, tag: str) -> None:
        """Forget what is here, and note what will come."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.unlink(missing_ok=True)
        with atomic_write(self.note) as aside:
            aside.write_text(json.dumps({"url": self.source.url, "tag": tag}), encoding="utf-8")

    def count(self) -> int:
        return self.path.stat().st_size if self.path.is_file() else 0

    def remove(self) -> None:
        for file in (self.path, self.note):
            with suppress(OSError):
                file.unlink()


def fetch(source: RemoteFile, target: Path, *, most: int, progress: Progress | None = None) -> bool:
    """Fetch a file unless it is there; return whether it was fetched.

    Args:
        source: The file.
        target: Where to put it.
        most: More bytes than this are refused.
        progress: Told of each byte.

    Raises:
        UserError: another file is there; the server refuses or has no such file; the connection was
            lost again and again (what has come is kept); the file is not what was published.
    """
    if not source.url.startswith(("https://", "http://")):
        raise UserError(f"{source.url} is no address of a file on the web.")
    if target.exists():
        _check_there(source, target)
        return False
    part = _Part(target.with_name(f".{target.name}.trifocal-part"), source)
    progress = progress or Quiet()
    for attempt in range(_TRIES):
        before = part.count()
        try:
            _receive(part, min(most, source.size or most), progress)
            break
        except urllib.error.HTTPError as error:
            raise _refused(source, error) from None
        except _DROPPED as error:
            stuck = part.count() <= before
            if attempt == _TRIES - 1 or (stuck and attempt):
                raise UserError(
                    f"the connection to {source.url} was lost ({error or type(error).__name__}) "
                    f"after {part.count():,} bytes, which are kept; try again to go on from there."
                ) from None
    _check(source, part)
    os.replace(part.path, target)
    part.remove()
    return True


def _receive(part: _Part, most: int, progress: Progress) -> None:
    """Take what is still to come of a file.

    Raises:
        OSError: the connection was lost, or the server refused.
        UserError: more comes than may, or the disk has no room.
    """
    done, tag = part.count(), part.tag()
    headers = {"User-Agent": SOFTWARE, "Accept-Encoding": "identity"}
    if done and tag:
        headers |= {"Range": f"bytes={done}-", "If-Range": tag}
    request = urllib.request.Request(part.source.url, headers=headers)
    with urllib.request.urlopen(request, timeout=_SECONDS) as answer:
        if answer.status != 206 or _start(answer) != done:
            done = 0
            part.begin(answer.headers.get("ETag") or answer.headers.get("Last-Modified") or "")
        length = answer.headers.get("Content-Length")
        whole = done + int(length) if length and length.isdecimal() else None
        _check_room(part, whole, done, most)
        progress.start(part.source.name, whole or most)
        progress.advance(done)
        with part.path.open("ab") as file:
            while block := answer.read(_CHUNK):
                done += len(block)
                if done > most:
                    part.remove()
                    raise _too_large(part.source, done, most)
                file.write(block)
                progress.advance(len(block))
    if whole is not None and done < whole:
        raise ConnectionError(f"{done:,} of {whole:,} bytes")


def _start(answer: Any) -> int:
    """Return at which byte an answer begins: "bytes 5-9/10" begins at 5."""
    first = answer.headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
    return int(first) if first.isdecimal() else -1


def _check_room(part: _Part, whole: int | None, done: int, most: int) -> None:
    if whole is None:
        return
    if whole > most:
        part.remove()
        raise _too_large(part.source, whole, most)
    free = shutil.disk_usage(part.path.parent).free
    if whole - done > free:
        raise UserError(
            f"{part.path.parent} has {free >> 20:,} MB free, but {part.source.name} needs "
            f"{(whole - done) >> 20:,} MB more; make room."
        )


def _check(source: RemoteFile, part: _Part) -> None:
    """Refuse what is not the published file, and remove it."""
    wrong = _difference(source, part.path)
    if wrong:
        part.remove()
        raise UserError(
            f"{source.url} has {wrong}: it was changed or damaged on the way. Try again; if it stays "
            "so, get the file by hand."
        )


def _check_there(source: RemoteFile, target: Path) -> None:
    wrong = _difference(source, target) if target.is_file() else "a folder in its place"
    if wrong:
        raise UserError(
            f"{target} is there already and is not the published file ({wrong}); move it away."
        )


def _difference(source: RemoteFile, path: Path) -> str:
    """Return how a file differs from what is known of the published one; "" where it does not."""
    size = path.stat().st_size
    if source.size is not None and size != source.size:
        return f"{size:,} bytes and not {source.size:,}"
    if source.sha256 is not None:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != source.sha256:
            return f"the SHA-256 {found[:12]}... and not {source.sha256[:12]}..."
    return ""


def _too_large(source: RemoteFile, size: int, most: int) -> UserError:
    return UserError(f"{source.url} sends {size:,} bytes, but {most:,} are the most expected.")


def _refused(source: RemoteFile, error: urllib.error.HTTPError) -> UserError:
    reasons = dict.fromkeys(_GATED, "it wants you to log in or to accept its terms")
    reasons |= dict.fromkeys(_GONE, "the file is no longer there")
    reason = reasons.get(error.code, error.reason or "the server failed")
    return UserError(f"{source.url} cannot be fetched: {reason} (HTTP {error.code}).")
