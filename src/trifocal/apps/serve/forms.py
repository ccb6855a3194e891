"""What a request holds, read with care: pictures, texts, boxes, numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from PIL import Image

from trifocal.apps.serve.limits import Limits, Refused
from trifocal.data.boxes import check_box
from trifocal.data.images import BadImage, open_image
from trifocal.data.regions import Box
from trifocal.errors import UserError

Form = dict[str, Any]  # fields by name: a text, or the content of a file as bytes


def picture(form: Form, examples: Sequence[Image.Image], limits: Limits) -> Image.Image:
    """Return the picture that a form holds as `image`, or names as the number `example`.

    Raises:
        Refused: there is none, or it is too large or no picture.
    """
    content = form.get("image")
    if isinstance(content, bytes) and content:
        return opened(content, limits)
    if "example" in form:
        return examples[number(form, "example", 0, len(examples) - 1)]
    raise Refused(422, "there is no picture; send one as the file `image`, or an `example`.")


def opened(content: bytes, limits: Limits, name: str = "the picture") -> Image.Image:
    """Return a picture from the bytes of its file.

    Raises:
        Refused: it is too large, or no picture.
    """
    if len(content) > limits.picture_bytes:
        raise Refused(413, f"{name} has more than {limits.mb} MB; send a smaller one.")
    try:
        return open_image(content, name=name, max_pixels=limits.megapixels * 1_000_000)
    except BadImage as error:
        if "pixels" in error.reason:
            raise Refused(
                413, f"{name} has more than {limits.megapixels} megapixels; send a smaller one."
            ) from None
        raise Refused(
            422, f"{name} cannot be read ({error.reason}); send a whole JPEG, PNG or WebP file."
        ) from None


def texts(form: Form, name: str, limits: Limits, *, most: int | None = None) -> list[str]:
    """Return texts, sent as a JSON list or one a line; empty ones are left out.

    Raises:
        Refused: they are too many, too long, or no texts.
    """
    raw = form.get(name, "")
    if not isinstance(raw, str):
        raise Refused(422, f"{name} is a file; send texts, one a line.")
    found: Any = raw.splitlines()
    if raw.lstrip().startswith("["):
        try:
            found = json.loads(raw)
        except (ValueError, RecursionError):
            found = raw.splitlines()
    if not all(isinstance(text, str) and _sendable(text) for text in found):
        raise Refused(422, f"{name} holds something that is no text; send a list of texts.")
    found = [" ".join(text.split()) for text in found]
    found = [text for text in found if text]
    most = limits.texts if most is None else most
    if len(found) > most:
        raise Refused(413, f"{name} has {len(found):,} texts, more than {most}; send fewer.")
    longest = max(map(len, found), default=0)
    if longest > limits.letters:
        raise Refused(
            413, f"{name} has a text of {longest:,} letters, more than {limits.letters}; cut it."
        )
    return found


def boxes(form: Form, size: tuple[int, int], limits: Limits) -> tuple[Box, ...]:
    """Return boxes, sent as a JSON list of [left, top, width, height] in the picture's pixels.

    Raises:
        Refused: they are too many, or make no sense in the picture.
    """
    raw = form.get("boxes", "")
    if not raw:
        return ()
    try:
        found = json.loads(raw)
        made = [(float(a), float(b), float(c), float(d)) for a, b, c, d in found]
    except (ValueError, TypeError, RecursionError, OverflowError):
        raise Refused(
            422, "boxes is no list of boxes; send [[left, top, width, height], ...] in pixels."
        ) from None
    if len(made) > limits.boxes:
        raise Refused(413, f"there are {len(made)} boxes, more than {limits.boxes}; send fewer.")
    if not all(math.isfinite(side) for box in made for side in box):
        raise Refused(422, "a box holds a number that is not finite; correct it.")
    try:
        return tuple(check_box(box, size, "xywh") for box in made)
    except UserError as error:
        raise Refused(422, str(error)) from None


def number(form: Form, name: str, low: int, high: int, default: int | None = None) -> int:
    """Return a whole number between two others.

    Raises:
        Refused: it is none, or not there and has no default.
    """
    raw = form.get(name, default)
    try:
        value = int(raw) if not isinstance(raw, bytes) else None
    except (TypeError, ValueError):
        value = None
    if value is None or not low <= value <= high:
        raise Refused(422, f"{name} must be a whole number from {low} to {high}.")
    return value


def _sendable(text: str) -> bool:
    """Return whether a text can be sent back: JSON's escapes can write halves of a character."""
    return not any("\ud800" <= one <= "\udfff" for one in text)
