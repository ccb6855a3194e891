"""What proves that a file or folder is ours: a word of its content, or a marker that lists files."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from trifocal.version import __version__

MARKER = "trifocal.json"
SOFTWARE = f"trifocal {__version__}"  # how a file of ours names what wrote it
SOFTWARE_TAG = 0x0131  # of a picture's EXIF
_MOST = 64 << 20  # bytes of a JSON file that may prove something

Place = str | os.PathLike[str]


def marker(kind: str, files: Mapping[str, int]) -> dict[str, Any]:
    """Return what proves that files are ours: who wrote them, as what, and their sizes by name."""
    return {"written_by": SOFTWARE, "kind": kind, "files": dict(files)}


def is_marked(folder: Path, kind: str) -> bool:
    """Return whether a folder has our marker of that kind."""
    found = read_marker(folder)
    return found is not None and found["kind"] == kind


def read_marker(folder: Path) -> dict[str, Any] | None:
    """Return a folder's marker, or None where it has none of ours."""
    return _marker_of(_json(folder / MARKER))


def sizes_of(folder: Path) -> dict[str, int]:
    """Return the size of each file below a folder, by its path; links are not followed."""
    found = {}
    for place, folders, files in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(place, name))]
        for name in [*files, *links]:
            file = Path(place, name)
            found[file.relative_to(folder).as_posix()] = file.lstat().st_size
    return dict(sorted(found.items()))


def _json(file: Path) -> Any:
    """Return what a JSON file holds, or None where it is none."""
    try:
        if file.stat().st_size > _MOST:
            return None
        return json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None


def _marker_of(found: Any) -> dict[str, Any] | None:
    """Return a marker that was read, or None where it is none of ours."""
    if not isinstance(found, dict) or not str(found.get("written_by")).startswith("trifocal "):
        return None
    whole = isinstance(found.get("files"), dict) and isinstance(found.get("kind"), str)
    return found if whole else None


def archive_comment(kind: str) -> bytes:
    """Return what a zip file of ours says of itself."""
    return f"{SOFTWARE} {kind}".encode()


def kind_of(file: Path) -> str:
    """Return which kind of file of ours a file proves to be, "" for any other."""
    prove = _PROOFS.get(file.suffix.lower())
    try:
        return prove(file) if prove else ""
    except Exception:  # whatever a reader says of a file that it cannot read: it is not ours
        return ""


def _of_page(file: Path) -> str:
    with file.open("rb") as handle:
        ours = b'<meta name="generator" content="trifocal ' in handle.read(4096)
    return "report" if ours else ""


def _of_picture(file: Path) -> str:
    from PIL import Image

    with Image.open(file) as picture:
        ours = str(picture.getexif().get(SOFTWARE_TAG)).startswith("trifocal ")
    return "picture" if ours else ""


def _of_archive(file: Path) -> str:
    with zipfile.ZipFile(file) as archive:
        words = archive.comment.decode("ascii").split(" ", 2)  # "trifocal 0.1.0 submission"
    return words[2] if words[0] == "trifocal" else ""


def _of_json(file: Path) -> str:
    content = _json(file)
    found = _marker_of(content.get("trifocal")) if isinstance(content, dict) else None
    return "" if found is None else found["kind"]


def _of_weights(file: Path) -> str:
    """Weights have no room for a word of ours: the JSON beside them names them and their size."""
    content = _json(file.with_suffix(".json"))
    found = _marker_of(content.get("trifocal")) if isinstance(content, dict) else None
    ours = found is not None and found["files"].get(file.name) == file.stat().st_size
    return found["kind"] if found is not None and ours else ""


_PROOFS: dict[str, Callable[[Path], str]] = {
    **dict.fromkeys((".html", ".htm"), _of_page),
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".webp"), _of_picture),
    **dict.fromkeys((".pt", ".safetensors"), _of_weights),
    ".zip": _of_archive,
    ".json": _of_json,
}
