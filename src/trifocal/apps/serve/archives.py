"""Class folders and model folders as they are uploaded: a zip, or files with their paths.

Only pictures are taken out of class folders, and only a classifier's own files out of a model
folder, each under a name that is made here: nothing in an archive can point elsewhere. What is
unpacked is counted as it comes, whatever the archive says of its sizes.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from trifocal.apps.serve.limits import Limits, Refused
from trifocal.concepts.head_files import FACTS, SUPPORT, TENSORS
from trifocal.data.classes import hidden
from trifocal.data.images import EXTENSIONS

File = tuple[str, bytes]  # a path in the upload, with "/", and the content
_OF_MODEL = re.compile(rf"({re.escape(FACTS)}|{re.escape(TENSORS)}|{SUPPORT}/\d+\.webp)")
_MOST_ENTRIES = 20  # times as many entries of an archive are looked at as pictures are taken


def unpacked(files: Iterable[File], limits: Limits) -> Iterator[File]:
    """Yield the files of an upload, those of a zip in its place.

    Raises:
        Refused: a zip is damaged or encrypted, or all is too much.
    """
    total = 0
    for name, content in files:
        zipped = name.lower().endswith(".zip")
        for each in _members(content, limits) if zipped else [(name, content)]:
            total += len(each[1])
            if total > limits.archive_bytes:
                raise Refused(413, _too_much(limits))
            yield each


def _members(content: bytes, limits: Limits) -> Iterator[File]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = archive.infolist()
            if len(entries) > _MOST_ENTRIES * limits.pictures:
                raise Refused(413, _too_much(limits))
            for entry in entries:
                if entry.is_dir() or not _wanted(entry.filename):
                    continue
                with archive.open(entry) as member:
                    found = member.read(limits.archive_bytes + 1)
                yield entry.filename, found
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, OSError, EOFError, ValueError):
        raise Refused(422, "the zip file is damaged or encrypted; pack the folders anew.") from None
    except Exception as error:  # decompressors have errors of their own
        if isinstance(error, Refused):
            raise
        raise Refused(422, "the zip file is damaged; pack the folders anew.") from None


def _wanted(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in {*EXTENSIONS, ".json", ".safetensors"}


def unpack(files: Iterable[File], folder: Path, limits: Limits) -> bool:
    """Write class folders, or a classifier, into a new folder; return whether it is a classifier.

    Args:
        files: What was uploaded.
        folder: An empty folder.
        limits: Of what is taken.

    Raises:
        Refused: there is neither, or it is too much.
    """
    kept = [
        (PurePosixPath(name.replace("\\", "/")), made) for name, made in unpacked(files, limits)
    ]
    heads = [path.parent for path, _ in kept if path.name == FACTS]
    if heads:
        _write_model(kept, min(heads, key=lambda path: len(path.parts)), folder)
        return True
    _write_classes(kept, folder, limits)
    return False


def _write_model(kept: list[tuple[PurePosixPath, bytes]], top: PurePosixPath, folder: Path) -> None:
    for path, content in kept:
        name = path.relative_to(top).as_posix() if path.is_relative_to(top) else ""
        if _OF_MODEL.fullmatch(name):
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(content)


def _write_classes(kept: list[tuple[PurePosixPath, bytes]], folder: Path, limits: Limits) -> None:
    count = 0
    for path, content in kept:
        if path.suffix.lower() not in EXTENSIONS or any(map(hidden, path.parts)):
            continue
        name = re.sub(r"[^\w .-]", "_", path.parent.name)[:100].strip(" ._")
        if not name:
            continue
        count += 1
        if count > limits.pictures:
            raise Refused(
                413, f"there are more than {limits.pictures} pictures; send fewer of each class."
            )
        if len(content) > limits.picture_bytes:
            raise Refused(413, f"{path} has more than {limits.mb} MB; send a smaller one.")
        (folder / name).mkdir(exist_ok=True)
        (folder / name / f"{count:05d}{path.suffix.lower()}").write_bytes(content)
    if len([*folder.iterdir()]) < 2:
        raise Refused(
            422,
            "there are no two class folders with pictures; send a zip with a folder for each class.",
        )


def _too_much(limits: Limits) -> str:
    return (
        f"the upload is more than {limits.archive_mb} MB when it is unpacked, or has too many files; "
        "send fewer or smaller pictures."
    )
