"""Pictures of every kind that is found in the wild, good and bad."""

from __future__ import annotations

import contextlib
import copy
import io
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from trifocal.data.images import BadImage, open_image


@pytest.fixture
def photo() -> Image.Image:
    rows, columns = np.mgrid[0:90, 0:120]
    array = np.stack([rows * 2, columns * 2, 255 - rows], axis=-1).astype(np.uint8)
    return Image.fromarray(array)


def encoded(image: Image.Image, format: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def gap(first: Image.Image, second: Image.Image) -> float:
    return float(np.abs(np.asarray(first, int) - np.asarray(second, int)).mean())


@pytest.mark.parametrize(("format", "tolerance"), [("PNG", 0), ("JPEG", 3), ("WEBP", 3)])
def test_the_three_formats_by_path_and_by_bytes(photo, tmp_path, format, tolerance):
    content = encoded(photo, format)
    path = tmp_path / "wrong.extension"
    path.write_bytes(content)
    for opened in (open_image(path), open_image(str(path)), open_image(content)):
        assert opened.mode == "RGB"
        assert opened.size == photo.size
        assert gap(opened, photo) <= tolerance


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "1"])
def test_png_modes_become_rgb(photo, mode):
    source = photo.convert(mode)
    opened = open_image(encoded(source, "PNG"))
    assert opened.mode == "RGB"
    assert gap(opened, source.convert("RGBA").convert("RGB")) == 0


def test_transparent_palette_gives_no_warning(photo, recwarn):
    opened = open_image(encoded(photo.convert("P"), "PNG", transparency=bytes([9, 3, 200])))
    assert opened.mode == "RGB"
    assert not recwarn.list


def test_cmyk_jpeg(photo):
    opened = open_image(encoded(photo.convert("CMYK"), "JPEG", quality=95))
    assert opened.mode == "RGB"
    assert gap(opened, photo) < 5


def test_sixteen_bit_gray_is_scaled_not_clipped():
    gray = np.arange(256, dtype=np.uint16).reshape(16, 16) * 257
    opened = open_image(encoded(Image.fromarray(gray), "PNG"))
    assert (np.asarray(opened)[..., 0] == np.arange(256).reshape(16, 16)).all()


def test_exif_orientation_is_applied(photo):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: the picture is to be rotated by 270 degrees
    opened = open_image(encoded(photo, "PNG", exif=exif))
    assert opened.size == (90, 120)
    assert gap(opened, photo.transpose(Image.Transpose.ROTATE_270)) == 0


def test_an_animation_gives_its_first_frame(photo):
    other = Image.new("RGB", photo.size)
    content = encoded(photo, "WEBP", save_all=True, append_images=[other], lossless=True)
    assert gap(open_image(content), photo) < 2


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
def test_a_truncated_file_is_an_error(photo, tmp_path, format):
    content = encoded(photo, format)
    path = tmp_path / "cut"
    path.write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(BadImage) as caught:
        open_image(path)
    assert caught.value.path == str(path)
    assert caught.value.reason


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "an empty file"), (b"hello, I am text" * 9, "not a JPEG, PNG or WebP file")],
)
def test_files_that_are_no_pictures(tmp_path, content, reason):
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    with pytest.raises(BadImage, match=reason):
        open_image(path)


@pytest.mark.parametrize("format", ["GIF", "BMP", "TIFF"])
def test_other_formats_are_not_even_parsed(photo, format):
    with pytest.raises(BadImage, match="not a JPEG, PNG or WebP"):
        open_image(encoded(photo, format), name="x")


def test_missing_folder_and_pipe(tmp_path):
    with pytest.raises(BadImage, match="no such file"):
        open_image(tmp_path / "none.jpg")
    with pytest.raises(BadImage, match="not an ordinary file"):
        open_image(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BadImage, match="not an ordinary file"):
        open_image(tmp_path / "pipe")


@pytest.mark.parametrize("side", [9000, 60_000])
def test_a_bomb_is_refused_by_its_header(side):
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + header
    bomb = b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    bomb += struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    with pytest.raises(BadImage, match="more than 64,000,000"):
        open_image(bomb, name="bomb")


def test_draft_decodes_smaller_and_still_covers(photo):
    content = encoded(photo.resize((1200, 900)), "JPEG")
    assert open_image(content).size == (1200, 900)
    for side in (32, 64, 100, 224, 600):
        small = open_image(content, draft=side)
        assert min(small.size) >= side * 1.25 or small.size == (1200, 900)
    assert open_image(content, draft=64).size == (150, 113)
    assert open_image(encoded(photo, "PNG"), draft=8).size == photo.size


def test_bad_image_travels_between_processes():
    made = copy.deepcopy(BadImage("a.jpg", "broken"))  # by the protocol that processes use
    assert (made.path, made.reason, str(made)) == ("a.jpg", "broken", "a.jpg: broken")


@pytest.mark.parametrize("seed", range(5))
def test_random_damage_never_gives_another_error(photo, seed):
    rng = np.random.default_rng(seed)
    for format in ("PNG", "JPEG", "WEBP"):
        content = bytearray(encoded(photo, format))
        for position in rng.integers(0, len(content), 20):
            content[position] = rng.integers(256)
        with contextlib.suppress(BadImage):
            assert open_image(bytes(content)).mode == "RGB"
