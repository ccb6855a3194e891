"""Classes of pictures: a folder for each, a name to read, and the prompts around a name."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from trifocal.data.images import EXTENSIONS, NOT_READ
from trifocal.errors import UserError
from trifocal.tally import Tally

logger = logging.getLogger(__name__)

_WNID = re.compile(r"n\d{8}")
# What systems leave behind among pictures; a file or folder that begins with a dot is hidden, too.
_LEFT_BY_SYSTEMS = frozenset({"__MACOSX", "@eaDir", "$RECYCLE.BIN", "lost+found"})


def natural(name: str) -> str:
    """Return what sorts names as people count: "2" before "10"."""
    return re.sub(r"[0-9]+", lambda digits: digits[0].zfill(24), name)


def class_folders(folder: Path, tally: Tally | None = None) -> list[Path]:
    """Return the folders in a folder, sorted by name, 2 before 10; hidden ones and "_..." are not
    among them.

    Args:
        folder: Where they are.
        tally: Told of those.

    Raises:
        UserError: two of them are one folder, by a link.
    """
    if not folder.is_dir():
        return []
    found: list[Path] = []
    targets: dict[str, Path] = {}
    for path in sorted(folder.iterdir(), key=lambda path: (natural(path.name), path.name)):
        if not path.is_dir():
            continue
        if hidden(path.name) or path.name[0] == "_":
            if tally is not None:
                tally.pass_over("hidden", path.name)
            continue
        target = os.path.realpath(path)
        if target in targets:
            raise UserError(
                f"{targets[target]} and {path} are the same folder; remove the link to it."
            )
        targets[target] = path
        found.append(path)
    return found


def pictures(folder: Path, tally: Tally | None = None) -> list[Path]:
    """Return the pictures in a folder and the folders below it, sorted, without what is hidden.

    Args:
        folder: Where they are; folders that are links are followed, each folder once.
        tally: Told of what is hidden, and of pictures of kinds that are not read.
    """
    found: list[Path] = []
    for path in files_below(folder, tally):
        kind = path.suffix.lower()
        if kind in EXTENSIONS:
            found.append(path)
        elif kind in NOT_READ and tally is not None:
            tally.leave_out(
                f"of the kind {kind}, which is not read (save as PNG or JPEG)",
                str(path.relative_to(folder.parent)),
            )
    return sorted(found)


def files_below(folder: Path, tally: Tally | None = None) -> Iterator[Path]:
    """Yield the files of a folder and of all folders below it that are not hidden.

    Links to folders are followed after all others, and no folder is looked into twice.
    """
    seen: set[str] = set()
    waiting, links = [folder], list[Path]()
    while waiting or links:
        place = waiting.pop() if waiting else links.pop(0)
        real = os.path.realpath(place)
        if real in seen:
            continue
        seen.add(real)
        with os.scandir(place) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                path = place / entry.name
                if hidden(entry.name):
                    if tally is not None:
                        tally.pass_over("hidden", str(path.relative_to(folder.parent)))
                elif not entry.is_dir():
                    yield path
                elif entry.is_symlink():
                    links.append(path)
                else:
                    waiting.append(path)


def hidden(name: str) -> bool:
    """Return whether a file or folder is hidden, or left by a system, such as "__MACOSX"."""
    return name[0] == "." or name in _LEFT_BY_SYSTEMS


def readable(folder: str) -> str:
    """Return a folder's name as words: "AnnualCrop" and "annual_crop" become two."""
    words = re.sub(r"[_\-]+", " ", folder)
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", words)
    return " ".join(words.split())


def named_wnids(lines: Sequence[str]) -> dict[str, str]:
    """Return names by WordNet id where every line is "n01440764 tench", as CoOp's list has them;
    else nothing.
    """
    parts = [line.strip().partition(" ") for line in lines]
    whole = parts and all(_WNID.fullmatch(wnid) and name.strip() for wnid, _, name in parts)
    return {wnid: name.strip() for wnid, _, name in parts} if whole else {}


def warn_of_wnids(names: Sequence[str], source: str) -> None:
    """Tell of class names that are WordNet ids, which no text tower has learned to read."""
    if names and all(_WNID.fullmatch(name) for name in names):
        logger.warning(
            "the classes of %s are named by WordNet ids (%s, ...), which mean nothing in a prompt; "
            "give their names, such as CoOp's classnames.txt for ImageNet",
            source,
            names[0],
        )


def say_pairs(folders: Sequence[str], names: Sequence[str], source: str) -> None:
    """Tell which folder got which name, where these were given by their order."""
    shown = ", ".join(f"{a} -> {b}" for a, b in zip(folders[:12], names[:12], strict=True))
    more = f", ... ({len(names)} in all)" if len(names) > 12 else ""
    logger.info("%s names the classes in their order: %s%s", source, shown, more)


def prompts(classname: str, templates: Sequence[str]) -> list[str]:
    """Return a class's prompts; `{c}` (CLIP_benchmark) or `{}` (CLIP) stands for its name.

    Raises:
        UserError: A template has no place for the name.
    """
    filled = []
    for template in templates:
        # Split at the places first: a name that holds braces itself is left as it is.
        parts = re.split(r"\{c?\}", template)
        if len(parts) == 1:
            raise UserError(
                f"the template {template!r} has no place for the class name; write {{c}} there"
            )
        filled.append(classname.join(parts))
    return filled
