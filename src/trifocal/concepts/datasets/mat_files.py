"""Variables of MATLAB files of version 5, as Oxford Flowers and Stanford Cars publish their labels.

SciPy's reader crashes the process on a damaged file; this one reads what these files hold (numbers,
texts, cells, structures, compressed or not) and refuses everything else.
"""

from __future__ import annotations

import math
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from trifocal.errors import UserError

_MAX_BYTES = 256 << 20  # of a file, unpacked; the largest published one has 1 MB
_DEEPEST = 16
_HEADER = 128
_MATRIX, _COMPRESSED = 14, 15
_NUMBERS = {
    1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8",
}  # fmt: skip
_TEXTS = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
_CELL, _STRUCTURE, _CHARACTERS = 1, 2, 4
_NUMERIC = range(6, 16)  # classes of arrays of numbers, from double to uint64


def read_variable(file: Path, name: str) -> Any:
    """Return a variable: numbers as (n,), a text, a cell as a list, structures as a list of dicts.

    Arrays of several dimensions come flat, columns first, as the file has them.

    Raises:
        UserError: the file cannot be read, has no such variable, or holds it in another form.
    """
    try:
        if file.stat().st_size > _MAX_BYTES:
            raise ValueError(f"larger than {_MAX_BYTES >> 20} MiB")
        return _find(file.read_bytes(), name)
    except (OSError, ValueError, struct.error, zlib.error) as error:
        raise UserError(f"cannot read {name!r} of {file} ({error}); get it again.") from None


def _find(content: bytes, name: str) -> Any:
    mark = content[_HEADER - 2 : _HEADER]
    if mark not in (b"IM", b"MI"):
        raise ValueError("it is no MATLAB file of version 5")
    top = _Elements(content[_HEADER:], "<" if mark == b"IM" else ">")
    while not top.ended:
        kind, data = top.next()
        if kind == _COMPRESSED:
            unpacked = zlib.decompressobj().decompress(data, _MAX_BYTES)
            kind, data = _Elements(unpacked, top.order).next()
        if kind == _MATRIX:
            found, value = _matrix(_Elements(data, top.order), name)
            if found == name:
                return value
    raise ValueError("it is not there")


class _Elements:
    """Elements of a piece of a file, one after another: a type and its bytes."""

    def __init__(self, data: bytes, order: str) -> None:
        self.data, self.order, self.at = data, order, 0

    @property
    def ended(self) -> bool:
        return self.at + 8 > len(self.data)

    def next(self) -> tuple[int, bytes]:
        kind, size = struct.unpack_from(f"{self.order}II", self.data, self.at)
        start = self.at + 8
        if kind >> 16:  # of at most four bytes, which stand in the tag itself
            kind, size, start = kind & 0xFFFF, kind >> 16, self.at + 4
            self.at += 8
        else:  # filled up to eight bytes
            self.at = start + (size if kind == _COMPRESSED else -(-size // 8) * 8)
        if start + size > len(self.data):
            raise ValueError("it is cut short")
        return kind, self.data[start : start + size]

    def numbers(self) -> np.ndarray:
        kind, data = self.next()
        if kind not in _NUMBERS:
            raise ValueError(f"numbers of type {kind}")
        return np.frombuffer(data, f"{self.order}{_NUMBERS[kind]}")

    def text(self) -> str:
        kind, data = self.next()
        codec = _TEXTS.get(kind, "")
        if not codec:
            raise ValueError(f"a text of type {kind}")
        ends = {"<": "-le", ">": "-be"}[self.order] if codec in ("utf-16", "utf-32") else ""
        return data.decode(codec + ends)


def _matrix(inside: _Elements, wanted: str | None, depth: int = 0) -> tuple[str, Any]:
    """Return name and value of an array; of one of another name than `wanted`, nothing else."""
    if depth > _DEEPEST:
        raise ValueError("too deeply nested")
    if inside.ended:
        return "", np.zeros(0)  # an empty array
    kind = int(inside.numbers()[:1].sum()) & 0xFF
    count = math.prod(max(int(side), 0) for side in inside.numbers())
    name = inside.text()
    if wanted not in (None, name):
        return name, None
    if kind in _NUMERIC:
        values = inside.numbers()
        if len(values) != count:
            raise ValueError(f"{len(values)} numbers where {count} belong")
        return name, values
    if kind == _CHARACTERS:
        return name, inside.text() if count else ""
    fields = _field_names(inside) if kind == _STRUCTURE else [""]
    if kind not in (_CELL, _STRUCTURE) or count * max(len(fields), 1) * 8 > len(inside.data):
        raise ValueError(f"an array of kind {kind} and {count} entries")
    rows = []
    for _ in range(count):
        values = {field: _inner(inside, depth) for field in fields}
        rows.append(values if kind == _STRUCTURE else values[""])
    return name, rows


def _field_names(inside: _Elements) -> list[str]:
    width = int(inside.numbers()[:1].sum())
    text = inside.text()
    if width <= 0:
        raise ValueError("fields without names")
    parts = (text[at : at + width] for at in range(0, len(text), width))
    return [part.partition("\0")[0] for part in parts]


def _inner(inside: _Elements, depth: int) -> Any:
    kind, data = inside.next()
    if kind != _MATRIX:
        raise ValueError(f"an element of type {kind} where an array belongs")
    return _matrix(_Elements(data, inside.order), None, depth + 1)[1]
