"""Pictures as people hold them: files, Pillow images, arrays, tensors; one, or many.

Whatever a picture comes as, it is the same picture: upright RGB, as `data.images.open_image` makes
it of a file.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from trifocal.data.images import BadImage, open_image, to_rgb
from trifocal.errors import UserError

# One picture: a file's path or content, an address, a Pillow image, (H, W), (H, W, C) as an array,
# (C, H, W) as a tensor; integers of 8 bits, or floats in [0, 1].
Picture = str | os.PathLike[str] | bytes | Image.Image | np.ndarray | Tensor
Pictures = Picture | Iterable[Picture]

_WANTED = "a path, a PIL image, an array (H, W, 3) or a tensor (3, H, W)"
_ADDRESS = ("http://", "https://")


def listed(pictures: Pictures) -> tuple[list[Picture], bool]:
    """Return pictures as a list, and whether it was one alone.

    Arrays of four dimensions are batches. What is no picture is refused here, before any is opened.

    Raises:
        TypeError: something is no picture; the message names it.
    """
    if isinstance(pictures, np.ndarray | Tensor):
        if pictures.ndim == 4:
            return [_checked(one, f"picture {i}") for i, one in enumerate(pictures)], False
        return [_checked(pictures, "the picture")], True
    if isinstance(pictures, str | bytes | os.PathLike | Image.Image):
        return [_checked(pictures, "the picture")], True
    try:
        items = list(pictures)
    except TypeError:
        raise TypeError(f"the picture is of type {_kind(pictures)}; give {_WANTED}.") from None
    return [_checked(one, f"picture {i}") for i, one in enumerate(items)], False


def _checked(picture: Any, where: str) -> Picture:
    if isinstance(picture, np.ndarray):
        _check_shape(picture.shape, picture.ndim == 2 or picture.shape[-1:] in _CHANNELS, where)
        return picture
    if isinstance(picture, Tensor):
        fits = picture.ndim == 3 and picture.shape[:1] in _CHANNELS
        _check_shape(tuple(picture.shape), fits, where, tensor=True)
        return picture
    if isinstance(picture, str | bytes | os.PathLike | Image.Image):
        return picture
    raise TypeError(f"{where} is of type {_kind(picture)}; give {_WANTED}.")


_CHANNELS = ((1,), (3,), (4,))


def _check_shape(shape: tuple[int, ...], channels: bool, where: str, tensor: bool = False) -> None:
    if channels and len(shape) in (2, 3) and min(shape):
        return
    layout = "tensor is (3, H, W)" if tensor else "array is (H, W, 3)"
    remedy = ""
    if len(shape) == 3 and shape[-1 if tensor else 0] in (1, 3, 4):
        turn = "permute(2, 0, 1)" if tensor else "transpose(1, 2, 0)"
        remedy = f" Turn it by .{turn}."
    raise TypeError(f"{where} is of shape {shape}, but a picture as {layout}.{remedy}")


def _kind(value: object) -> str:
    return type(value).__name__


def is_address(picture: Picture) -> bool:
    """Whether a picture lies on the web."""
    return isinstance(picture, str) and picture.lower().startswith(_ADDRESS)


def check_addresses(pictures: Iterable[Picture], allowed: bool) -> None:
    """Refuse addresses of the web, unless they were asked for.

    Raises:
        UserError: there is one, and it is not allowed.
    """
    for picture in () if allowed else pictures:
        if is_address(picture):
            raise UserError(f"{picture} lies on the web; say urls=True to have it fetched.")


def open_picture(picture: Picture, where: str = "the picture") -> Image.Image:
    """Return a picture as upright RGB.

    Args:
        picture: As `listed` returns it.
        where: What to call it in an error where it has no name.

    Raises:
        UserError: it cannot be read, or its numbers are no pixels; the message names it.
    """
    try:
        if isinstance(picture, Image.Image):
            return to_rgb(ImageOps.exif_transpose(picture))
        if isinstance(picture, np.ndarray):
            return _of_array(picture, where)
        if isinstance(picture, Tensor):
            return _of_array(picture.detach().cpu().permute(1, 2, 0).numpy(), where)
        if isinstance(picture, bytes):
            return open_image(picture, name=where)
        if isinstance(picture, str) and is_address(picture):
            from trifocal.data.web import fetch

            return open_image(fetch(picture), name=picture)
        path = Path(picture).expanduser()
        if path.is_dir():
            raise UserError(f'{path} is a folder; give its files, as Path("{path}").glob("*.jpg").')
        return open_image(path)
    except (BadImage, OSError) as error:
        name = picture if isinstance(picture, str | os.PathLike) else where
        reason = getattr(error, "reason", error)
        raise UserError(
            f"cannot open {name} ({reason}); give a whole JPEG, PNG or WebP file."
        ) from error


def _of_array(array: np.ndarray, where: str) -> Image.Image:
    """Return an array (H, W) or (H, W, C) as RGB."""
    if array.dtype.kind == "f":
        low, high = float(array.min()), float(array.max())
        if not (low >= 0 and high <= 1):
            raise UserError(
                f"{where} has floats from {low:.3g} to {high:.3g}, but pixels as floats are in "
                "[0, 1]; divide by 255, or leave out the normalization (it is done here)."
            )
        array = np.rint(array * np.float32(255)).astype(np.uint8)
    elif array.dtype != np.uint8:
        raise UserError(
            f"{where} has numbers of type {array.dtype}; give uint8 from 0 to 255, or floats in [0, 1]."
        )
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    return to_rgb(Image.fromarray(np.ascontiguousarray(array)))


def sentences(texts: str | Iterable[str]) -> tuple[list[str], bool]:
    """Return texts as a list, and whether it was one alone.

    Raises:
        TypeError: something is no text; the message names it.
    """
    if isinstance(texts, str):
        return [texts], True
    try:
        items = list(texts)
    except TypeError:
        raise TypeError(f"the text is of type {_kind(texts)}; give a str, or several.") from None
    for place, one in enumerate(items):
        if not isinstance(one, str):
            raise TypeError(f"text {place} is of type {_kind(one)}; give a str.")
    return [str(one) for one in items], False


def as_float(features: Tensor) -> Tensor:
    """Return features as float32 on the CPU."""
    return features.detach().to("cpu", torch.float32)
