"""Small pictures of every kind that is read, and some that are not."""

from __future__ import annotations

import io

from PIL import Image


def picture(kind: str = "PNG", size: tuple[int, int] = (8, 6), turned: int = 0) -> bytes:
    """Return a picture's file, perhaps with EXIF that turns it."""
    image = Image.new("RGB", size, (200, 30, 60))
    image.putpixel((1, 1), (0, 255, 0))
    exif = Image.Exif()
    if turned:
        exif[0x0112] = turned
    made = io.BytesIO()
    image.save(made, kind, **({"exif": exif} if turned else {}))
    return made.getvalue()


def odd_pictures() -> dict[str, bytes]:
    """Return pictures of modes that are converted, by name."""
    made = {}
    for mode in ("P", "LA", "RGBA", "I;16", "1", "L"):
        file = io.BytesIO()
        image = Image.new("L", (6, 5), 90)
        image = Image.new(mode, (6, 5)) if mode == "I;16" else image.convert(mode)
        image.save(file, "PNG")
        made[f"{mode.replace(';', '')}.png"] = file.getvalue()
    file = io.BytesIO()
    Image.new("CMYK", (6, 5)).save(file, "JPEG")
    return {**made, "cmyk.jpg": file.getvalue()}
