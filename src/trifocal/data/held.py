"""Pictures that are no file of their own: a box of a photo, a cell of a table, an array.

Each knows how to open itself and is compared by what it says, so a picture that several questions
name is opened and embedded once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from trifocal.data.images import MAX_PIXELS, BadImage, open_image, read_image_file
from trifocal.errors import UserError, install

if TYPE_CHECKING:
    from PIL import Image

    from trifocal.data.regions import Box

_READING = Lock()


@dataclass(frozen=True)
class Held:
    """A picture inside a file; its `str` is what an error calls it."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    def show(self) -> Image.Image:
        """Return it as upright RGB.

        Raises:
            BadImage: it cannot be read.
        """
        raise NotImplementedError

    def content(self) -> bytes:
        """Return the bytes of the picture file that it is, or is a part of.

        Raises:
            BadImage: they cannot be read.
        """
        return read_image_file(self.path)


@dataclass(frozen=True)
class Cropped(Held):
    """A box of a photo, cut out before any preprocessing."""

    box: Box  # left, top, width and height in the photo's pixels

    def __str__(self) -> str:
        return f"{self.path}[{', '.join(f'{side:g}' for side in self.box)}]"

    def show(self) -> Image.Image:
        """Return the pixels of the box; those of it outside the photo are black."""
        left, top, width, height = self.box
        good = all(map(math.isfinite, self.box)) and width >= 1 and height >= 1
        if not good or width * height > MAX_PIXELS:
            raise BadImage(str(self.path), f"a box of {width:g} x {height:g} pixels")
        image = open_image(self.path)
        if left >= image.width or top >= image.height or left + width <= 0 or top + height <= 0:
            raise BadImage(str(self.path), "the box lies outside the photo")
        return image.crop((left, top, left + width, top + height))  # type: ignore[arg-type]


@dataclass(frozen=True)
class InTable(Held):
    """A cell of a parquet file, as the Hub's data sets keep pictures."""

    row: int
    column: str

    def __str__(self) -> str:
        return f"{self.path}, row {self.row}, {self.column}"

    def show(self) -> Image.Image:
        """Return the picture in the cell."""
        return open_image(self.content(), name=str(self))

    def content(self) -> bytes:
        """Return the bytes in the cell."""
        cell = parquet_cell(self.path, self.row, self.column)
        content = cell.get("bytes") if isinstance(cell, dict) else cell
        if not isinstance(content, bytes):
            raise BadImage(str(self), "no picture in the cell")
        return content


@dataclass(frozen=True)
class InArray(Held):
    """A NumPy file (height, width, 3) of 8-bit channels in the order blue, green, red."""

    def show(self) -> Image.Image:
        """Return the picture as RGB."""
        import io

        import numpy as np
        from PIL import Image

        content = self.content()
        try:
            array = np.load(io.BytesIO(content), allow_pickle=False)
        except (ValueError, OSError, EOFError, MemoryError) as error:
            raise BadImage(str(self.path), f"no NumPy file ({error})") from None
        if array.ndim != 3 or array.shape[2] != 3 or array.dtype != np.uint8 or not array.size:
            raise BadImage(str(self.path), f"an array of {array.shape} {array.dtype}")
        return Image.fromarray(np.ascontiguousarray(array[..., ::-1]))


def parquet_table(path: Path, columns: list[str] | None = None) -> Any:
    """Return a pyarrow table of some columns (all by default) of a parquet file.

    Raises:
        UserError: pyarrow is absent, or the file is no parquet file or lacks a column.
    """
    parquet = _pyarrow()
    try:
        file = parquet.ParquetFile(path)
        names = file.schema_arrow.names
        absent = [name for name in columns or () if name not in names]
        if absent:
            raise UserError(
                f"{path} has no column {absent[0]!r}, only {', '.join(names)}; get the data set again."
            )
        table = file.read(columns=columns)
        table.validate(full=True)  # texts that are none, which would come out when they are read
        return table
    except UserError:
        raise
    except Exception as error:  # pyarrow's own kinds are many
        raise UserError(f"{path} is not a parquet file ({error}); get it again.") from None


def parquet_columns(path: Path) -> list[str]:
    """Return the names of a parquet file's columns.

    Raises:
        UserError: pyarrow is absent, or the file is no parquet file.
    """
    try:
        return _pyarrow().ParquetFile(path).schema_arrow.names
    except UserError:
        raise
    except Exception as error:  # pyarrow's own kinds are many
        raise UserError(f"{path} is not a parquet file ({error}); get it again.") from None


def parquet_cell(path: Path, row: int, column: str) -> Any:
    """Return one cell of a parquet file; a group of rows at a time is read and kept."""
    with _READING:  # an open parquet file is not for several threads at once
        group, first = _group_of(path, row)
        return _column(path, group, column)[row - first].as_py()


@lru_cache(maxsize=8)
def _open(path: Path) -> Any:
    return _pyarrow().ParquetFile(path)


def _group_of(path: Path, row: int) -> tuple[int, int]:
    """Return which group of rows a row is in, and the group's first row."""
    metadata, first = _open(path).metadata, 0
    for group in range(metadata.num_row_groups):
        count = metadata.row_group(group).num_rows
        if row < first + count:
            return group, first
        first += count
    raise BadImage(str(path), f"there is no row {row}")


@lru_cache(maxsize=4)
def _column(path: Path, group: int, column: str) -> Any:
    return _open(path).read_row_group(group, columns=[column]).column(0)


def _pyarrow() -> Any:
    try:
        import pyarrow.parquet
    except ImportError:
        raise UserError(
            f"reading parquet files needs pyarrow; install it with {install('parquet')}."
        ) from None
    return pyarrow.parquet
