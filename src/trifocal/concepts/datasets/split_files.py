"""CoOp's split files, `split_zhou_*.json`: which pictures are for training, validation, test.

Published with CoOp (Zhou et al., arXiv 2109.01134), used by most of the field since. One object
with "train", "val" and "test", each a list of [path, label, class name].
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from trifocal.concepts.datasets.dataset import PARTS, LabeledImage
from trifocal.errors import UserError, nearest

Entry = tuple[Any, Any, Any]  # path, label, class name, as they stand in a file


@dataclass(frozen=True)
class Split:
    """The three parts of a data set, and its classes."""

    classnames: tuple[str, ...]  # D names as the file has them
    train: Sequence[LabeledImage]  # in the order of the file, which the few-shot draw depends on
    val: Sequence[LabeledImage] = ()  # may be empty
    test: Sequence[LabeledImage] = ()  # may be empty


def read_split(file: str | os.PathLike[str]) -> Split:
    """Read a split file.

    Raises:
        UserError: it is missing, no JSON, of another form, has other parts, too, or holds an entry
            that `make_split` refuses.
    """
    try:
        content = json.loads(Path(file).read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UserError(f"cannot read the split file {file} ({error.strerror}).") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{file} is not JSON ({error}); get it again.") from None
    if not isinstance(content, dict) or not all(
        isinstance(content.get(part), list) for part in PARTS
    ):
        raise UserError(f"{file} must hold the lists train, val and test.")
    unknown = [key for key in content if key not in PARTS]
    if unknown:
        raise UserError(
            f"{file} has {unknown[0]!r} beside train, val and test, which nothing reads; take it out."
            f"{nearest(unknown[0], PARTS)}"
        )
    parts: dict[str, list[Entry]] = {}
    for part in PARTS:
        for number, entry in enumerate(content[part], start=1):
            if not isinstance(entry, list) or len(entry) != 3:
                raise UserError(
                    f"entry {number} of {part} in {file} is not [path, label, class name]."
                )
        parts[part] = [tuple(entry) for entry in content[part]]
    return make_split(parts, str(file))


def make_split(parts: Mapping[str, Iterable[Entry]], source: str) -> Split:
    """Check entries and return them as a split.

    Args:
        parts: Paths, labels and class names of "train", "val", "test".
        source: What to call them in an error.

    Raises:
        UserError: a path is empty or leaves its folder or occurs twice; a label is no integer
            from 0 on, or is missing; a class has two names, or none.
    """
    names: dict[int, str] = {}
    seen: set[str] = set()
    images: dict[str, list[LabeledImage]] = {part: [] for part in PARTS}
    for part, entries in parts.items():
        for number, (path, label, name) in enumerate(entries, start=1):
            where = f"entry {number} of {part} in {source}"
            check_path(path, where)
            if os.path.normpath(path) in seen:
                raise UserError(f"{where}: {path!r} occurs twice; leave one of them out.")
            seen.add(os.path.normpath(path))
            if type(label) is not int or label < 0:  # True is no label either
                raise UserError(f"{where}: the label {label!r} is not an integer from 0 on.")
            if not isinstance(name, str) or not name.strip():
                raise UserError(f"{where}: the class name {name!r} is not a text.")
            if names.setdefault(label, name) != name:
                raise UserError(
                    f"{where}: class {label} has two names, {names[label]!r} and {name!r}; give "
                    "it one."
                )
            images[part].append(LabeledImage(path, label))
    if len(names) < 2:
        raise UserError(f"{source} has fewer than two classes; add pictures of others.")
    for label in range(len(names)):
        if label not in names:
            raise UserError(
                f"{source} has no entry of class {label}, but of {max(names)}; number the "
                "classes from 0 on without a gap."
            )
    return Split(tuple(names[label] for label in range(len(names))), **images)


def check_path(path: Any, where: str) -> None:
    """Raise a `UserError` for a path that is no text, is absolute, or leaves its folder by ".."."""
    if not isinstance(path, str) or not path or "\0" in path:
        raise UserError(f"{where}: the path {path!r} is not a text.")
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts:
        raise UserError(
            f"{where}: the path {path!r} leaves the image folder; paths start from it, with no "
            '".." in them.'
        )


def check_names(names: Sequence[str], sources: Sequence[str]) -> None:
    """Raise a `UserError` for fewer than two classes, or for two that prompts cannot tell apart.

    Args:
        names: Class names as prompts say them.
        sources: What the user calls them.
    """
    if len(names) < 2:
        found = f"only the class {sources[0]!r}" if sources else "no class"
        raise UserError(f"there is {found}; classification needs at least two.")
    seen: dict[str, str] = {}
    for name, source in zip(names, sources, strict=True):
        key = " ".join(name.casefold().split())
        if key in seen:
            raise UserError(
                f"the classes {seen[key]!r} and {source!r} have the same name ({name!r}); rename "
                "one, or put their pictures together."
            )
        seen[key] = source


def absent(images: Path, items: Iterable[LabeledImage]) -> list[str]:
    """Return the paths of pictures that are not there; each folder is listed once."""
    listed: dict[str, set[str]] = {}
    missing = []
    for item in items:
        folder, name = os.path.split(item.path)
        if folder not in listed:
            try:
                listed[folder] = set(os.listdir(images / folder))
            except (OSError, ValueError):  # no such folder, or no name that a disk could have
                listed[folder] = set()
        if name not in listed[folder]:
            missing.append(item.path)
    return missing
