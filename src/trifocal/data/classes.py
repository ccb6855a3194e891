"""Classes of pictures: a folder for each, a name to read, and the prompts around a name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from trifocal.data.images import EXTENSIONS
from trifocal.errors import UserError


def class_folders(folder: Path) -> list[Path]:
    """Return the folders in a folder, sorted by name; hidden ones and "_..." are left out."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir() and path.name[0] not in "._")


def pictures(folder: Path) -> list[Path]:
    """Return the pictures in a folder and the folders below it, sorted, without hidden files."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in EXTENSIONS and path.name[0] != "."
    )


def readable(folder: str) -> str:
    """Return a folder's name as words: "AnnualCrop" and "annual_crop" become two."""
    words = re.sub(r"[_\-]+", " ", folder)
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", words)
    return " ".join(words.split())


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
