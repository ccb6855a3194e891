"""Pictures from elsewhere, read with care.

Only JPEG, PNG and WebP are opened; the header is read first, and a picture of too many pixels is
refused before it is decoded. A truncated file is an error, never half a picture. What comes out is
upright (EXIF orientation applied) and RGB, whatever the file held.
"""

from __future__ import annotations

import io
import math
import os
import stat
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps

FORMATS = ("JPEG", "PNG", "WEBP")
EXTENSIONS = frozenset({".jpg", ".jpeg", ".jfif", ".jpe", ".png", ".webp"})
# Pictures, but of kinds whose decoders are kept shut; where they lie among others, that is said.
NOT_READ = frozenset(
    {".bmp", ".gif", ".tif", ".tiff", ".heic", ".heif", ".avif", ".jp2", ".ppm", ".pgm", ".ico"}
)
MAX_PIXELS = 64_000_000
MAX_BYTES = 256 << 20
# What a decoder finds odd and reads all the same is nobody's errand; each picture would be a line.
warnings.filterwarnings("ignore", module=r"PIL\.")
# A crop of the decoded picture must still be larger than what it is resized to.
_DRAFT_MARGIN = 1.25


class BadImage(Exception):  # noqa: N818 - it names the thing, as the run's list of them does
    """A sample that cannot be used.

    Args:
        path: Which one.
        reason: Why, in a few words.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)  # both, so that it travels between processes
        self.path, self.reason = path, reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


@dataclass(frozen=True)
class Stored:
    """How a file holds a picture."""

    size: tuple[int, int]  # width and height in the file
    orientation: int = 1  # EXIF's, 1 to 8: how it is turned to stand upright

    @property
    def upright(self) -> tuple[int, int]:
        """Width and height of the picture as it is shown."""
        width, height = self.size
        return (height, width) if self.orientation > 4 else (width, height)


def open_image(
    path: str | os.PathLike[str] | bytes,
    *,
    name: str | None = None,
    max_pixels: int = MAX_PIXELS,
    draft: int | None = None,
) -> Image.Image:
    """Return a picture as upright RGB, wholly decoded.

    Args:
        path: The file, or its bytes.
        name: What to call it in an error; the path by default.
        max_pixels: The most pixels that are decoded.
        draft: Let a JPEG be decoded at 1/2, 1/4 or 1/8 of its size as long as its short side stays
            somewhat longer than this. Faster, and slightly different pixels.

    Raises:
        BadImage: the file is missing, too large, of another kind, truncated, or damaged.
    """
    return open_stored(path, name=name, max_pixels=max_pixels, draft=draft)[0]


def open_stored(
    path: str | os.PathLike[str] | bytes,
    *,
    name: str | None = None,
    max_pixels: int = MAX_PIXELS,
    draft: int | None = None,
) -> tuple[Image.Image, Stored]:
    """Return what `open_image` returns, and how the file holds it."""
    label = name or ("<bytes>" if isinstance(path, bytes) else os.fspath(path))
    try:
        source = io.BytesIO(path) if isinstance(path, bytes) else _checked(Path(path))
        with Image.open(source, formats=FORMATS) as image:
            width, height = image.size
            if width * height > max_pixels:
                raise BadImage(label, f"{width} x {height} pixels, more than {max_pixels:,}")
            if draft is not None and image.format == "JPEG":
                _reduce(image, draft)
            image.load()
            orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
            stored = Stored((width, height), orientation if orientation in range(1, 9) else 1)
            return to_rgb(ImageOps.exif_transpose(image)), stored
    except BadImage as error:
        raise BadImage(label, error.reason) from None
    except FileNotFoundError:
        raise BadImage(label, "no such file") from None
    except Image.UnidentifiedImageError:
        raise BadImage(label, "not a JPEG, PNG or WebP file") from None
    except Image.DecompressionBombError:
        raise BadImage(label, f"more than {max_pixels:,} pixels") from None
    except Exception as error:  # a decoder may raise anything on a damaged file
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BadImage(label, reason) from None


def read_image_file(path: Path) -> bytes:
    """Return a picture file's content, for whoever also needs more than the picture.

    Raises:
        BadImage: the file is missing, no ordinary file, too large, or cannot be read.
    """
    try:
        return _checked(path).read_bytes()
    except FileNotFoundError:
        raise BadImage(str(path), "no such file") from None
    except OSError as error:
        raise BadImage(str(path), error.strerror or str(error)) from None


def _checked(path: Path) -> Path:
    """Refuse what is no ordinary file (a pipe would block for ever) and what is huge."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise BadImage(str(path), "not an ordinary file")
    if status.st_size > MAX_BYTES:
        raise BadImage(str(path), f"{status.st_size >> 20} MB, more than {MAX_BYTES >> 20} MB")
    if status.st_size == 0:
        raise BadImage(str(path), "an empty file")
    return path


def _reduce(image: Image.Image, side: int) -> None:
    """Ask the JPEG decoder for the smallest scale whose short side still covers `side`."""
    factor = math.ceil(side * _DRAFT_MARGIN) / min(image.size)
    if factor < 1:
        width, height = image.size
        image.draft("RGB", (math.ceil(width * factor), math.ceil(height * factor)))


def to_rgb(image: Image.Image) -> Image.Image:
    """Return any Pillow mode as 8-bit RGB; transparency is dropped, as CLIP's own code does."""
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I"):  # 16-bit gray; Pillow would clip at 255 instead of scaling
        array = np.asarray(image).astype(np.int64) >> 8
        image = Image.fromarray(array.clip(0, 255).astype(np.uint8))
    elif image.mode in ("P", "PA", "LA"):
        image = image.convert("RGBA")
    return image.convert("RGB")
