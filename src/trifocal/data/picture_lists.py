"""Lists of pictures from what people have: folders, tables of paths, WebDataset shards, single files.

Nothing is opened but tables and the headers of tars, so that a list of a million is made in seconds.
"""

from __future__ import annotations

import glob
import os
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from trifocal.data.caption_files import IMAGE_COLUMNS
from trifocal.data.classes import natural, pictures
from trifocal.data.images import EXTENSIONS, read_image_file
from trifocal.data.picture_keys import picture_key
from trifocal.data.reshaped import InTar
from trifocal.data.shards import expand
from trifocal.data.tables import not_text, table_records
from trifocal.errors import UserError, nearest
from trifocal.tally import Tally

TABLES = (".csv", ".tsv", ".jsonl", ".txt")


@dataclass(frozen=True)
class ListedPicture:
    """A picture of a list.

    Attributes:
        name: What a user knows it by: its path, or that of its shard and its name there.
        picture: Where it lies.
    """

    name: str
    picture: Path | InTar

    def content(self) -> bytes:
        """Return the bytes of its file.

        Raises:
            BadImage: they cannot be read.
        """
        if isinstance(self.picture, InTar):
            return self.picture.content()
        return read_image_file(self.picture)

    def stamp(self) -> bytes:
        """Return what changes when the file is changed, without reading it; see `picture_key`."""
        if isinstance(self.picture, InTar):
            return picture_key(self.picture.path, f"{self.picture.start} {self.picture.size}")
        return picture_key(self.picture)


def list_pictures(
    sources: Iterable[str | os.PathLike[str]], *, image_column: str | None = None
) -> list[ListedPicture]:
    """Return the pictures of some sources, in order, each path once.

    Args:
        sources: Folders (with all folders below, or of tars), tables with a column of paths, text
            files with a path a line, patterns of tars (see `shards.expand`), pictures.
        image_column: A table's column of paths, where it has none of the usual names.

    Raises:
        UserError: a source is not there, is none of these, or has no picture.
    """
    found: dict[str, ListedPicture] = {}
    for source in sources:
        before = len(found)
        for picture in _pictures_of(os.path.expanduser(os.fspath(source)), image_column):
            found.setdefault(picture.name, picture)
        if len(found) == before and not any(found):
            raise UserError(f"there is no picture in {source}; {_READ} are read.")
    return list(found.values())


_READ = "JPEG, PNG and WebP files, tables of their paths (.csv, .tsv, .jsonl, .txt) and .tar shards"


def _pictures_of(source: str, column: str | None) -> Iterator[ListedPicture]:
    path = Path(source)
    if source.endswith(".tar") or (not path.exists() and ".tar" in source):
        yield from _in_shards(expand(source))
    elif path.is_dir():
        yield from _in_folder(path)
    elif not path.exists():
        raise UserError(f"there is no {source}; give a folder, a table, shards or a picture.")
    elif path.suffix.lower() in TABLES:
        yield from _in_table(path, column)
    elif path.suffix.lower() in EXTENSIONS:
        yield ListedPicture(source, path)
    else:
        raise UserError(f"{source} is no list of pictures; {_READ} are read.")


def _in_folder(folder: Path) -> Iterator[ListedPicture]:
    tally = Tally(str(folder), most_left_out=1.0, entries="pictures")
    found = pictures(folder, tally)
    if not found:
        tars = sorted(glob.glob(str(folder / "**" / "*.tar"), recursive=True), key=natural)
        yield from _in_shards(tars)
        return
    tally.use(len(found))
    tally.close()
    yield from (ListedPicture(str(path), path) for path in found)


def _in_table(file: Path, column: str | None) -> Iterator[ListedPicture]:
    """Yield the pictures that a table names, paths from its own folder."""
    try:
        if file.suffix.lower() == ".txt":
            lines = file.read_text(encoding="utf-8-sig").splitlines()
            cells = [line.strip() for line in lines if line.strip()]
        else:
            known = (column,) if column else IMAGE_COLUMNS
            cells = [_cell(file, row, known) for _, row in table_records(file, known)]
    except UnicodeDecodeError:
        raise not_text(file) from None
    except OSError as error:
        raise UserError(f"{file} cannot be read ({error.strerror}).") from None
    for cell in cells:
        path = file.parent / cell
        yield ListedPicture(str(path), path)


def _cell(file: Path, row: dict[str, object], columns: Iterable[str]) -> str:
    for column in columns:
        if isinstance(row.get(column), str) and str(row[column]).strip():
            return str(row[column]).strip()
    wanted = list(columns)
    raise UserError(
        f"{file} has a row without a path in {' or '.join(wanted)} (it has "
        f"{', '.join(map(str, row))}); name the column with image_column=."
        f"{nearest(wanted[0], map(str, row))}"
    )


def _in_shards(paths: Iterable[str]) -> Iterator[ListedPicture]:
    """Yield the pictures in tars, whatever lies beside them there."""
    for path in paths:
        try:
            with tarfile.open(path, "r:") as tar:
                members = [
                    member
                    for member in tar
                    if member.isreg()
                    and member.sparse is None
                    and os.path.splitext(member.name)[1].lower() in EXTENSIONS
                ]
        except (tarfile.TarError, EOFError, OSError, ValueError) as error:
            raise UserError(
                f"{path} is not a complete plain tar ({error}); fetch it anew."
            ) from None
        for member in members:
            held = InTar(Path(path), member.name, member.offset_data, member.size)
            yield ListedPicture(str(held), held)
