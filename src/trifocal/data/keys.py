"""Keys of JSON objects: what a file states is read, or refused, but never passed over."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from trifocal.errors import UnknownKey, UserError, closest

_SLIP = 0.65  # how alike a slip of the pen is: "yolo_boxes" and "yolo_box", but not "image_id"


def check_keys(entry: Iterable[str], known: Sequence[str], *, slips: bool = False) -> None:
    """Refuse keys that are not known.

    Args:
        entry: The keys of an object.
        known: Those that are read.
        slips: Refuse only those that are nearly a known one: a published file may have others.

    Raises:
        UnknownKey: there is one; the nearest known one is told.
    """
    for key in entry:
        if key not in known:
            near = closest(key, known, _SLIP) if slips else _near(key, known)
            if near or not slips:
                raise UnknownKey(key, near, known)


def check_facts(facts: Mapping[str, Any], known: Sequence[str], formats: Sequence[int]) -> None:
    """Refuse a file of ours that a later version wrote, or that somebody has changed.

    Args:
        facts: What it holds; its "format" is a number that each version raises.
        known: Its keys.
        formats: The formats that this version reads, the newest last.

    Raises:
        UserError: it is of another format, or has a key that is not known.
    """
    written = facts.get("format")
    if written not in formats:
        read = " and ".join(map(str, formats))
        later = isinstance(written, int) and written > formats[-1]
        remedy = "a later version wrote it, so update trifocal" if later else "it was changed"
        raise UserError(f"it has format {written!r}, and this version reads {read}: {remedy}.")
    check_keys(facts, known)


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the object that JSON text has, for `json.loads`, if it has no key twice.

    Raises:
        UserError: it has, and one of both would be lost.
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise UserError(f"the key {twice!r} stands there twice; leave one of them.")
    return found


def _near(key: str, known: Sequence[str]) -> str:
    folded = {name.casefold(): name for name in known}
    return folded.get(key.casefold()) or closest(key, known)
