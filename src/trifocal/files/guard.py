"""Targets that a user named: what this program did not write is never replaced.

A folder of ours says so in `trifocal.json`, which lists its files; a file says so in its content,
or in the JSON beside it. A kind of file that has no room for such a word (a table, say) is never
replaced at all.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from trifocal.errors import UserError
from trifocal.version import __version__

MARKER = "trifocal.json"
SOFTWARE = f"trifocal {__version__}"  # how a file of ours names what wrote it
SOFTWARE_TAG = 0x0131  # of a picture's EXIF
_MOST = 64 << 20  # bytes of a JSON file that may prove something

Place = str | os.PathLike[str]


def check_file(path: Place, kind: str, *, force: bool = False) -> Path:
    """Return where a file is to be written, links followed; refuse to replace what is not ours.

    Commands ask this before they compute anything.

    Args:
        path: As the user named it.
        kind: What it is to be, in a word or two.
        force: Allow to replace an older one of that kind, which proves itself by its content.

    Raises:
        UserError: it is there and must not be replaced, or nothing can be written there.
    """
    target = _real(path, kind)
    if target.is_dir():
        raise UserError(f"{path} is a folder, but the {kind} is a file; give a file's name.")
    if target.exists():
        found = kind_of(target)
        if found != kind:
            what = f"a {found} and no {kind}" if found else f"no {kind} that trifocal wrote"
            raise UserError(
                f"{path} is there already and proves to be {what}, so it is not replaced; delete "
                "or rename it, or give another name."
            )
        _check_force(path, kind, force)
    _check_writable(path, target)
    return target


def check_folder(
    path: Place,
    kind: str,
    *,
    force: bool = False,
    older: Sequence[str] = (),
    later: Sequence[str] = (),
) -> Path:
    """Return where a folder is to be written, links followed; refuse to replace what is not ours.

    Args:
        path: As the user named it. It may be empty.
        kind: What it is to be, in a word or two.
        force: Allow to replace an older one of that kind, of which the marker proves every file.
        older: Patterns of all files that a version without markers wrote; the first is always
            there, and a folder of nothing else is ours.
        later: Patterns of files that this program adds to a folder of that kind later.

    Raises:
        UserError: it holds other work, or nothing can be written there.
    """
    target, here = _real(path, kind), Path(os.path.realpath("."))
    if target == here or target in here.parents:
        raise UserError(f"{path} is the folder you are in or holds it; choose another folder.")
    if target.exists() and not target.is_dir():
        raise UserError(f"{path} is a file, but the {kind} is a folder; choose another folder.")
    try:
        entries = sorted(os.listdir(target)) if target.is_dir() else []
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror}); choose another folder.") from None
    if entries:
        _check_ours(path, target, kind, entries, older, later)
        _check_force(path, kind, force)
    _check_writable(path, target)
    return target


def check_apart(path: Place, source: Place) -> None:
    """Refuse a target that is its own source, lies inside of it, or holds it.

    Raises:
        UserError: it is so.
    """
    if not os.path.exists(source):  # a name, and no file
        return
    target, origin = Path(os.path.realpath(path)), Path(os.path.realpath(source))
    if target == origin or target in origin.parents or origin in target.parents:
        raise UserError(f"{path} is where {source} itself lies; give another place.")


def _real(path: Place, kind: str) -> Path:
    """Return an absolute path without links, or refuse one that leads nowhere."""
    if not os.fspath(path).strip():
        raise UserError(f"the {kind} has no name; say where to write it.")
    if os.path.islink(path) and not os.path.exists(path):
        raise UserError(f"{path} is a link to nothing; remove the link, or give another name.")
    return Path(os.path.realpath(path))


def _check_force(path: Place, kind: str, force: bool) -> None:
    if not force:
        raise UserError(
            f"{path} already has content, a {kind}; force=True replaces it, or choose another folder "
            "or file."
        )


def _check_writable(path: Place, target: Path) -> None:
    """Refuse a place where nothing can be made, before the work is done."""
    there = next(one for one in (target, *target.parents) if os.path.lexists(one))
    if there != target and not there.is_dir():
        raise UserError(f"cannot write {path} ({there} is a file); give another name.")
    nearest = [there, target.parent] if there == target else [there]
    for one in nearest:
        if not os.access(one, os.W_OK):
            raise UserError(f"cannot write {path} ({one} is read-only); give another place.")


def _check_ours(
    path: Place,
    target: Path,
    kind: str,
    entries: Sequence[str],
    older: Sequence[str],
    later: Sequence[str],
) -> None:
    """Refuse a folder unless each of its files is proven to be ours.

    Raises:
        UserError: it is not, with the name of a file.
    """
    found = read_marker(target)
    sizes = sizes_of(target)
    if found is None:
        strange = [name for name in sizes if not _like(name, older)]
        if not older or strange or not any(_like(name, older[:1]) for name in sizes):
            first = (strange or entries)[0]
            raise UserError(
                f"{path} already has content ({first}), and what trifocal did not write is never "
                "replaced; choose another folder."
            )
        return
    if found["kind"] != kind:
        raise UserError(f"{path} holds a {found['kind']} and no {kind}; choose another folder.")
    known: dict[str, int] = found["files"]
    for name, size in sizes.items():
        if name != MARKER and known.get(name) != size and (name in known or not _like(name, later)):
            how = "was changed since" if name in known else "is not of"
            raise UserError(
                f"{path} holds {name}, which {how} the {kind} that trifocal wrote; move it away, "
                "or choose another folder."
            )


def _like(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


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


def _marker_in(file: Path) -> dict[str, Any] | None:
    """Return the marker that a JSON file has among its keys, or None where it has none of ours."""
    content = _json(file)
    return _marker_of(content.get("trifocal")) if isinstance(content, dict) else None


def _of_json(file: Path) -> str:
    found = _marker_in(file)
    return "" if found is None else found["kind"]


def _of_weights(file: Path) -> str:
    """Weights have no room for a word of ours: the JSON beside them names them and their size."""
    found = _marker_in(file.with_suffix(".json"))
    if found is None or found["files"].get(file.name) != file.stat().st_size:
        return ""
    return found["kind"]


_PROOFS: dict[str, Callable[[Path], str]] = {
    **dict.fromkeys((".html", ".htm"), _of_page),
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".webp"), _of_picture),
    **dict.fromkeys((".pt", ".safetensors"), _of_weights),
    ".zip": _of_archive,
    ".json": _of_json,
}
