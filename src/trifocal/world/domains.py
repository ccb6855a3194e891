"""Shifted domains: the same picture as a sketch, with inverted colors, noisy, or of low resolution.

They stand for tests of domain generalization such as ImageNet-Sketch (Wang et al., arXiv
1905.13549) and ImageNet-C (Hendrycks & Dietterich, arXiv 1903.12261). A shift changes what pixels
look like and moves nothing. Its grain is a share of the picture's side, so a model that shrinks
its input meets much the same shift at any size.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageOps
from scipy.ndimage import maximum_filter, minimum_filter

from trifocal.errors import UserError, nearest

_GRAIN = 48  # sensor pixels along the shorter side
_READ_NOISE, _SHOT_NOISE = 0.06, 0.14  # standard deviations: in the dark, and added in full light
_COARSE = 18  # pixels along the shorter side that low resolution leaves
_STROKE = 40  # a sketch's lines are this part of the shorter side wide
_FAINT, _FULL = 60, 140  # steps of color that begin to be drawn, and that are drawn in full
_PURPOSE = 240


def sketch(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Return outlines in colored pencil on white paper: lines at edges, no fill."""
    width = 2 * max(1, round(min(picture.size) / _STROKE / 2)) + 1
    pixels = np.asarray(picture, dtype=np.float32)
    window = (width, width, 1)
    steps = (maximum_filter(pixels, window) - minimum_filter(pixels, window)).max(-1, keepdims=True)
    ink = ((steps - _FAINT) / (_FULL - _FAINT)).clip(0, 1)
    return Image.fromarray((255 + ink * (pixels - 255)).round().astype(np.uint8))


def inverted(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Return the negative."""
    return ImageOps.invert(picture)


def noisy(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Return the picture as a bad sensor sees it: normal noise, more of it where there is light."""
    width, height = picture.size
    share = _GRAIN / min(width, height)
    cells = (max(1, round(share * height)), max(1, round(share * width)))
    layers = [
        Image.fromarray(channel).resize((width, height), Image.Resampling.NEAREST)
        for channel in rng.standard_normal((3, *cells)).astype(np.float32)
    ]
    noise = np.stack([np.asarray(layer) for layer in layers], axis=-1)
    light = np.asarray(picture, dtype=np.float32) / 255
    seen = light + noise * np.sqrt(_READ_NOISE**2 + _SHOT_NOISE**2 * light)
    return Image.fromarray((255 * seen.clip(0, 1)).round().astype(np.uint8))


def low_resolution(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Return the picture shrunk to a few pixels and enlarged again."""
    share = _COARSE / min(picture.size)
    coarse = (max(1, round(share * picture.width)), max(1, round(share * picture.height)))
    small = picture.resize(coarse, Image.Resampling.BOX)
    return small.resize(picture.size, Image.Resampling.BILINEAR)


DOMAINS: dict[str, Callable[[Image.Image, np.random.Generator], Image.Image]] = {
    "sketch": sketch,
    "inverted": inverted,
    "noisy": noisy,
    "low_resolution": low_resolution,
}


def shift(picture: Image.Image, domain: str, seed: int = 0, index: int = 0) -> Image.Image:
    """Return an RGB picture in the style of one of `DOMAINS`; equal arguments give equal pixels.

    The noise is decided by `seed`, which names a world, and `index`, a picture of it.
    """
    if domain not in DOMAINS:
        known = ", ".join(DOMAINS)
        raise UserError(
            f"There is no domain {domain!r}: choose one of {known}.{nearest(domain, DOMAINS)}"
        )
    if seed < 0 or index < 0:
        raise UserError(
            f"Seed and index of the world are whole numbers from 0, not {seed} and {index}."
        )
    entropy = np.random.SeedSequence((seed, index, _PURPOSE))
    rng = np.random.Generator(np.random.Philox(entropy))
    return DOMAINS[domain](picture.convert("RGB"), rng)
