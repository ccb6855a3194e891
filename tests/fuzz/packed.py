"""Files that hold others: taken apart, one part changed, and put together so that it is reached.

Behind a wrong check sum or length, a reader would never see the change.
"""

from __future__ import annotations

import gzip
import io
import json
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from random import Random
from typing import Any

from tests.fuzz import mutate

Parts = list[tuple[str, bytes]]


def changed(name: str, content: bytes, rng: Random) -> bytes:
    """Return a valid file changed somewhere, or one of about its form.

    Args:
        name: The file's; its ending says what is inside.
        content: The file's.
        rng: What decides.
    """
    if rng.random() < 0.15:
        return mutate.made_up(content, rng)
    if rng.random() < 0.2:
        return mutate.bytes_changed(content, rng)
    return _inside(name, content, rng)


def _inside(name: str, content: bytes, rng: Random) -> bytes:
    suffix = name.rpartition(".")[2].lower()
    if suffix in _PACKED:
        unpack, pack = _PACKED[suffix]
        return pack(_part_changed(unpack(content), rng))
    if suffix == "safetensors":
        return _tensors_changed(content, rng)
    if suffix in ("json", "yaml") and rng.random() < 0.8:
        return mutate.dumped(mutate.json_changed(json.loads(content), rng), rng)
    if suffix in ("jsonl", "part") and rng.random() < 0.7:
        lines = content.splitlines()
        at = rng.randrange(len(lines))
        lines[at] = mutate.dumped(mutate.json_changed(json.loads(lines[at]), rng), rng)
        return b"\n".join(lines) + b"\n"
    if suffix in _TEXTUAL:
        return mutate.lines_changed(content, rng)
    return mutate.bytes_changed(content, rng)


def _part_changed(parts: Parts, rng: Random) -> Parts:
    """Return members of an archive with one changed, renamed, lost or there twice."""
    at = rng.randrange(len(parts))
    name, content = parts[at]
    match rng.randrange(8):
        case 0 if len(parts) > 1:
            del parts[at]
        case 1:
            parts.append((name, mutate.made_up(content, rng)))
        case 2:
            parts[at] = (str(rng.choice(("", "a", "../x", ".x.txt", f"{name}.txt"))), content)
        case _:
            parts[at] = (name, changed(name, content, rng))
    return parts


def _of_zip(content: bytes) -> Parts:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return [(info.filename, archive.read(info)) for info in archive.infolist()]


def _to_zip(parts: Parts) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, content in parts:
            if name not in archive.NameToInfo:
                archive.writestr(zipfile.ZipInfo(name or "a"), content)
    return made.getvalue()


def _of_tar(content: bytes) -> Parts:
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        files = ((one.name, tar.extractfile(one)) for one in tar)
        return [(name, file.read()) for name, file in files if file]


def _to_tar(parts: Parts) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name, content in parts:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return made.getvalue()


def _of_gzip(content: bytes) -> Parts:
    return [("a.txt", gzip.decompress(content))]


def _to_gzip(parts: Parts) -> bytes:
    return gzip.compress(b"".join(content for _, content in parts), 1)


def _of_png(content: bytes) -> Parts:
    """Return the chunks, named by their kind."""
    parts, at = [], 8
    while at < len(content):
        (size,) = struct.unpack_from(">I", content, at)
        kind = content[at + 4 : at + 8].decode("latin-1")
        parts.append((kind, content[at + 8 : at + 8 + size]))
        at += size + 12
    return parts


def _to_png(parts: Parts) -> bytes:
    made = b"\x89PNG\r\n\x1a\n"
    for name, content in parts:
        kind = name.encode("latin-1", "replace")[:4].ljust(4, b"a")
        check = struct.pack(">I", zlib.crc32(kind + content))
        made += struct.pack(">I", len(content)) + kind + content + check
    return made


_PACKED: dict[str, tuple[Callable[[bytes], Parts], Callable[[Parts], bytes]]] = {
    **dict.fromkeys(("zip", "pt"), (_of_zip, _to_zip)),
    "tar": (_of_tar, _to_tar),
    "gz": (_of_gzip, _to_gzip),
    "png": (_of_png, _to_png),
}
_TEXTUAL = {"txt", "csv", "tsv", "json", "jsonl", "yaml", "part", "names", ""}


def _tensors_changed(content: bytes, rng: Random) -> bytes:
    """Return a safetensors file with another header of the right length, or other numbers."""
    (size,) = struct.unpack_from("<Q", content)
    header: Any = json.loads(content[8 : 8 + size])
    body = content[8 + size :]
    match rng.randrange(4):
        case 0:
            body = mutate.bytes_changed(body, rng)
        case 1:  # another shape, type or place
            entry = header[rng.choice([name for name in header if name != "__metadata__"])]
            change = rng.choice(
                (
                    {"dtype": rng.choice(("F16", "BF16", "F64", "I32", "U8", "BOOL", "F8_E4M3"))},
                    {"shape": entry["shape"][::-1]},
                    {"shape": [*entry["shape"], 1]},
                    {"shape": [0, *entry["shape"]]},
                    {"data_offsets": [0, 0], "shape": [0]},
                )
            )
            entry.update(change)
        case _:
            header = mutate.json_changed(header, rng)
    text = mutate.dumped(header, rng)
    return struct.pack("<Q", len(text)) + text + body
