"""Pictures that a benchmark shows otherwise than they lie on the disk: in part of a tar, without
their border, or stretched.

Each wraps where a picture is, and is `Held`: opened when it is embedded, and equal to another of
the same content and form.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trifocal.data.file_part import FilePart
from trifocal.data.held import Held
from trifocal.data.images import BadImage, open_image
from trifocal.errors import UserError

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True)
class InTar(Held):
    """A member of a tar file, read at its place."""

    member: str
    start: int
    size: int

    def __str__(self) -> str:
        return f"{self.path}/{self.member}"

    def show(self) -> Image.Image:
        """Return the picture."""
        return open_image(self.content(), name=str(self))

    def content(self) -> bytes:
        """Return the bytes of the member."""
        return FilePart(str(self.path), self.start, self.size).read()


@dataclass(frozen=True)
class WithoutBorder(Held):
    """A picture without its outermost pixels, which ObjectNet marks its test pictures with."""

    of: Path | Held
    pixels: int

    @classmethod
    def around(cls, picture: Path | Held, pixels: int) -> WithoutBorder:
        """Return a picture without so many pixels on each side."""
        return cls(_file(picture), picture, pixels)

    def show(self) -> Image.Image:
        """Return the inner part.

        Raises:
            BadImage: nothing would be left.
        """
        image, cut = _show(self.of), self.pixels
        if min(image.size) <= 2 * cut:
            raise BadImage(str(self.of), f"nothing is left without a border of {cut} pixels")
        return image.crop((cut, cut, image.width - cut, image.height - cut))


@dataclass(frozen=True)
class Stretched(Held):
    """A picture resized to a size whatever its shape, so that no crop takes a part away."""

    of: Path | Held
    size: tuple[int, int]  # height and width, the tower's

    @classmethod
    def to(cls, picture: Path | Held, size: tuple[int, int]) -> Stretched:
        """Return a picture stretched to height and width."""
        return cls(_file(picture), picture, size)

    def show(self) -> Image.Image:
        """Return it in that size, by bicubic interpolation; a tower's own resizing then keeps it."""
        from PIL import Image

        height, width = self.size
        return _show(self.of).resize((width, height), Image.Resampling.BICUBIC)


def reshapable(picture: object) -> Path | Held:
    """Return a picture that is a file or held in one.

    Raises:
        UserError: it is something else.
    """
    if isinstance(picture, str | Path):
        return Path(picture)
    if isinstance(picture, Held):
        return picture
    raise UserError("only pictures in files can be shown otherwise; give paths.")


def _file(picture: Path | Held) -> Path:
    return picture.path if isinstance(picture, Held) else picture


def _show(picture: Path | Held) -> Image.Image:
    return picture.show() if isinstance(picture, Held) else open_image(picture)
