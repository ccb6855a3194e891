"""Zip and tar archives from elsewhere, unpacked with care.

Only plain files and folders come out, all of them inside the target; links, devices, absolute paths
and ".." are refused, and so is an archive that becomes larger than it may, whatever it says of
itself. The target is there wholly or not at all.
"""

from __future__ import annotations

import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from trifocal.errors import UserError
from trifocal.files import atomic_folder

_CHUNK = 1 << 20
_MOST_FILES = 2_000_000
KIND = "data set"


@dataclass(frozen=True)
class _Member:
    """A file in an archive."""

    name: str
    size: int  # as the archive states it
    handle: Any  # what its archive opens


def unpack(archive: Path, target: Path, *, most: int, inside: str | None = None) -> int:
    """Unpack an archive into a new folder; return how many files it had.

    Args:
        archive: A zip, or a tar (perhaps compressed).
        target: The folder to make.
        most: More bytes than this are refused.
        inside: Keep only what is in this folder of the archive, without the folder itself.

    Raises:
        UserError: it is no archive, is damaged, has a member that must not be written, or is too
            large; or the target is there already.
    """
    written = files = 0
    try:
        with ExitStack() as stack, atomic_folder(target, KIND) as aside:
            opened, members = _open(archive, stack)
            for member in members:
                place = _place(member.name, archive, inside)
                if place is None:
                    continue
                files += 1
                if files > _MOST_FILES:
                    raise UserError(f"{archive} has more than {_MOST_FILES:,} files.")
                if written + member.size > most:
                    raise _too_large(archive, most)
                out = aside / place
                if out.exists():
                    raise UserError(f"{archive} has {member.name!r} twice; fetch it anew.")
                out.parent.mkdir(parents=True, exist_ok=True)
                with _read(opened, member) as source, out.open("xb") as sink:
                    while block := source.read(_CHUNK):
                        written += len(block)
                        if written > most:
                            raise _too_large(archive, most)
                        sink.write(block)
            if not files:
                raise UserError(f"{archive} has no files{f' in {inside}' if inside else ''}.")
    except (
        zipfile.BadZipFile,
        tarfile.TarError,
        zlib.error,
        EOFError,
        NotImplementedError,
    ) as error:
        raise UserError(f"{archive} is damaged or no archive ({error}); fetch it anew.") from None
    except RuntimeError as error:  # a password is asked for
        raise UserError(f"{archive} cannot be unpacked ({error}); get it by hand.") from None
    return files


def _open(archive: Path, stack: ExitStack) -> tuple[Any, Iterator[_Member]]:
    if zipfile.is_zipfile(archive):
        zipped = stack.enter_context(zipfile.ZipFile(archive))
        return zipped, _zip_members(zipped, archive)
    tar = stack.enter_context(tarfile.open(archive))  # noqa: SIM115 - the stack closes it
    return tar, _tar_members(tar, archive)


def _zip_members(zipped: zipfile.ZipFile, archive: Path) -> Iterator[_Member]:
    for info in zipped.infolist():
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise _forbidden(archive, info.filename, "is a link or a device")
        if info.is_dir():
            _place(info.filename, archive, None)
            continue
        yield _Member(info.filename, info.file_size, info)


def _tar_members(tar: tarfile.TarFile, archive: Path) -> Iterator[_Member]:
    for info in tar:
        if info.isdir():
            _place(info.name, archive, None)
        elif not info.isreg():
            raise _forbidden(archive, info.name, "is a link or a device")
        else:
            yield _Member(info.name, info.size, info)


def _read(opened: Any, member: _Member) -> IO[bytes]:
    if isinstance(opened, zipfile.ZipFile):
        return opened.open(member.handle)
    file = opened.extractfile(member.handle)
    assert file is not None
    return file


def _place(name: str, archive: Path, inside: str | None) -> PurePosixPath | None:
    """Return where a member goes below the target; None for one outside of what is kept."""
    pure = PurePosixPath(name)
    strange = "\\" in name or "\0" in name or ":" in name.partition("/")[0]
    if not name or pure.is_absolute() or ".." in pure.parts or strange:
        raise _forbidden(archive, name, "leads out of the folder")
    if inside is None:
        return pure
    return pure.relative_to(inside) if pure.is_relative_to(inside) else None


def _forbidden(archive: Path, name: str, what: str) -> UserError:
    return UserError(
        f"{archive} is not unpacked: its member {name!r} {what}, as no data set's does; delete it."
    )


def _too_large(archive: Path, most: int) -> UserError:
    return UserError(f"{archive} becomes larger than {most:,} bytes, so it is not unpacked.")
