"""Inputs made of a valid content: its bytes, its lines or its JSON values changed, or made of nothing.

Every function takes a `random.Random`, which is seeded for a long run and drawn by hypothesis in
the tests, where failures are made small.
"""

from __future__ import annotations

import copy
import json
import re
import struct
from random import Random
from typing import Any

# What stands in dumped JSON for what `json.dumps` cannot write.
_DEEP, _DIGITS = "@deep@", "@digits@"
_DEPTHS = (50, 900, 3_000, 100_000)
_NUMBERS: list[Any] = [
    *(0, -1, 1, 2, 255, 2**15, 2**31 - 1, 2**31, 2**53 + 1, 2**63, 2**64, 10**30, 10**400),
    *(-0.0, 0.5, -1.5, 1e-300, 5e-324, 1e9, 1e300, 1.7e308),
    *(float("inf"), float("-inf"), float("nan")),
]  # fmt: skip
_TEXTS = [
    *("", " ", "\0", "a\0b", "a\nb", "\t", "\ud800", "\udcff", "\u202e", "😀", "e\u0301", "ﬁ"),
    *("..", "../x", "/", "/etc/passwd", "~", "~/x", "a/b/c", "C:\\x", "-", "--x", ".hidden"),
    *("1", "-1", "1.5", "1e999", "NaN", "null", "true", "x" * 300, "x" * 5_000, "²", "١", "%s{}"),
    *("train", "test", "val", "normalized", "xyxy", "utf-16", "a,b", '"', "'", "{0}", "[1, 2]"),
]
_OTHERS: list[Any] = [
    *(None, True, False, [], {}, [[]], [None], {"": None}, [1, 2, 3, 4], [0, 0, -1, 1], [""]),
    *({"left": 1, "top": 1, "width": 5, "height": 5}, ["a", "b"], {"a": {"b": {}}}, _DEEP, _DIGITS),
]
_PIECES = (
    *(b"\0", b"\xff", b"\xef\xbb\xbf", b"\xff\xfe", b"\r", b"\r\n", b"\n", b"\n\n", b'"', b"'", b","),
    *(b"\t", b";", b"|", b"{", b"}", b"[", b"]", b":", b"#", b"\\", b"\\u0000", b"\\ud83d", b"-"),
    *(mark.encode() for mark in ("\u2028", "\x85", "\x0b", "\x1c", "\u00a0", "é", "😀", "\u0661")),
    *(b"NaN", b"1e999", b"9" * 400, b"x" * 3_000, b"&a [*a]", b"!!python/name:os.system ", b"<<: "),
)  # fmt: skip
_EXTREMES = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1)


def bytes_changed(content: bytes, rng: Random) -> bytes:
    """Return a content with bits turned, parts cut, doubled, put in or overwritten by extremes."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        at = rng.randrange(len(data) + 1)
        end = min(len(data), at + rng.choice((1, 2, 4, 16, 64)))
        match rng.randrange(7):
            case 0 if at < len(data):
                data[at] ^= 1 << rng.randrange(8)
            case 1:
                del data[at:end]
            case 2:
                data[at:at] = data[at:end]
            case 3:
                data[at:at] = rng.choice(_PIECES)
            case 4:
                data[at:at] = rng.randbytes(rng.choice((1, 2, 8, 40)))
            case 5:
                width = rng.choice(("<B", "<H", ">H", "<I", ">I", "<Q", ">Q"))
                size = struct.calcsize(width)
                value = rng.choice(_EXTREMES) & ((1 << 8 * size) - 1)
                data[at : at + size] = struct.pack(width, value)
            case _:
                del data[at:]
    return bytes(data)


def lines_changed(content: bytes, rng: Random) -> bytes:
    """Return a text with lines cut, doubled or swapped, or with other ends or another encoding."""
    lines = content.split(b"\n")
    for _ in range(rng.choice((1, 1, 2, 3))):
        a, b = rng.randrange(len(lines)), rng.randrange(len(lines))
        match rng.randrange(10):
            case 0 if len(lines) > 1:
                del lines[a]
            case 1:
                lines.insert(b, lines[a])
            case 2:
                lines[a], lines[b] = lines[b], lines[a]
            case 3:
                lines = [line + b"\r" for line in lines]
            case 4:
                lines[0] = rng.choice((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")) + lines[0]
            case 5:
                words = re.findall(rb"\w+|\W", lines[a]) or [b""]
                words[rng.randrange(len(words))] = rng.choice(_PIECES)
                lines[a] = b"".join(words)
            case 6:
                words = re.findall(rb"\w+|\W", lines[a])
                rng.shuffle(words)
                lines[a] = b"".join(words)
            case 7:
                text = rng.choice(_TEXTS).encode("utf-8", "surrogatepass")
                lines[a] = lines[a].replace(rng.choice((b",", b"\t", b" ", b":")), text, 1)
            case 8:
                codec = rng.choice(("utf-16", "utf-32", "latin-1", "utf-8-sig"))
                text = b"\n".join(lines).decode("utf-8", "replace")
                lines = text.encode(codec, "replace").split(b"\n")
            case _:
                lines[a] = lines[a] * rng.choice((2, 5))
    return b"\n".join(lines)


def json_changed(value: Any, rng: Random) -> Any:
    """Return a JSON value with others put in, taken out, doubled, swapped, retyped or renamed."""
    value = copy.deepcopy(value)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        slots = list(_slots(value))
        if not slots:
            return _odd(rng)
        holder, key = rng.choice(slots)
        match rng.randrange(9):
            case 0:
                del holder[key]
            case 1:
                other, place = rng.choice(slots)
                holder[key] = copy.deepcopy(other[place])
            case 2:
                holder[key] = rng.choice(
                    (
                        [holder[key]],
                        {"": holder[key]},
                        f"{holder[key]!s:.200}",
                        [holder[key], holder[key]],
                    )
                )
            case 3 if isinstance(holder, list):
                holder.insert(key, copy.deepcopy(holder[key]))
            case 4 if isinstance(holder, dict):
                name = rng.choice((key[:-1], key + "s", key.upper(), rng.choice(_TEXTS)))
                holder[name] = holder[key] if rng.random() < 0.5 else holder.pop(key)
            case 5 if isinstance(holder[key], int | float):
                holder[key] = rng.choice(_NUMBERS)
            case 6 if isinstance(holder[key], str):
                text, at = holder[key], rng.randrange(len(holder[key]) + 1)
                holder[key] = text[:at] + rng.choice(_TEXTS) + text[at:]
            case _:
                holder[key] = _odd(rng)
    return value


def dumped(value: Any, rng: Random) -> bytes:
    """Return JSON text, now and then with a key twice, numbers of 9,000 digits or 10⁵ levels."""
    text = json.dumps(value, ensure_ascii=rng.random() < 0.5)
    if rng.random() < 0.05:
        text = re.sub(r'("\w+"): ', r"\1: 1, \1: ", text, count=1)
    if _DIGITS in text:
        text = text.replace(f'"{_DIGITS}"', "9" * 9_000)
    if _DEEP in text:
        mark, depth = rng.choice((("[", "]"), ('{"a": ', "}"))), rng.choice(_DEPTHS)
        text = text.replace(f'"{_DEEP}"', mark[0] * depth + "1" + mark[1] * depth)
    return text.encode("utf-8", "surrogatepass")


def made_up(content: bytes, rng: Random) -> bytes:
    """Return bytes, a text of a content's words, or a JSON value with its keys."""
    words = re.findall(rb"\w+|\W", content[:4_000]) or [b"a"]
    match rng.randrange(4):
        case 0:
            return rng.randbytes(rng.choice((0, 1, 4, 8, 20, 100, 300)))
        case 1:
            return b"".join(rng.choice(words) for _ in range(rng.choice((3, 20, 100))))
        case 2:
            head = content[: rng.choice((4, 8, 16, 32))]
            return head + rng.randbytes(rng.choice((0, 8, 40, 200)))
    names = [word.decode("utf-8", "replace") for word in words if word.isalnum()] or ["a"]
    return dumped(_free(names, rng, 0), rng)


def _free(names: list[str], rng: Random, depth: int) -> Any:
    kind = rng.random()
    if kind < 0.25 or depth > 3:
        return _odd(rng)
    count = rng.choice((0, 1, 2, 4))
    if kind < 0.6:
        return [_free(names, rng, depth + 1) for _ in range(count)]
    return {rng.choice(names): _free(names, rng, depth + 1) for _ in range(count)}


def _odd(rng: Random) -> Any:
    return copy.deepcopy(rng.choice(rng.choice((_NUMBERS, _TEXTS, _OTHERS))))


def _slots(value: Any) -> Any:
    """Yield each place in a JSON value, as what holds it and its key there."""
    waiting = [value]
    while waiting:
        holder = waiting.pop()
        keys = holder if isinstance(holder, dict) else range(len(holder))
        if isinstance(holder, list | dict):
            for key in keys:
                yield holder, key
                if isinstance(holder[key], list | dict):
                    waiting.append(holder[key])
