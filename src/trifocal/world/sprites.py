"""From a silhouette to a small picture of one thing: color, texture, outline, light and shadow.

A kind is drawn once without anti-aliasing as a map of tones, several times larger than needed.
Coloring is one look-up per pixel, and shrinking it smooths all edges at once, so each further
color, texture and size costs little. Finished sprites are kept.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from trifocal.world.shapes import ASPECT, BODY, CREAM, DEEP, FLAME, HOLE, INK, LIGHT, STROKES
from trifocal.world.vocabulary import COLORS

# Further tones, made from the strokes' ones.
MARK, EDGE, RIM = 7, 8, 9
_TONES = 10
_PAD = 0.25  # room around the box on the tone map, for rim and shadow (share of the longer side)
# Longer sides, in pixels, of the tone maps from which sprites up to a third of that are shrunk.
_MASTERS = (96, 192)
_DARK_MARKS = ("yellow", "pink", "white", "gray", "turquoise")  # white marks would not show
_EDGE_WIDTH = 0.026
_RIM_WIDTH = 0.03


@lru_cache(maxsize=20_000)
def sprite(kind: str, color: str, texture: str, width: int, height: int) -> tuple[Image.Image, int]:
    """Return an RGBA picture of a thing whose box is `width` × `height` pixels.

    Returns:
        The picture, with a margin for rim and shadow around the box, and that margin in pixels.
    """
    side = max(width, height)
    master = next((m for m in _MASTERS if 3 * side <= m), 3 * side)
    make = _paint_kept if master in _MASTERS else _paint
    pixels = make(kind, color, texture, master)
    inner_w, inner_h, pad = _extent(kind, master)
    margin = max(1, round(0.14 * side))
    step_x, step_y = inner_w / width, inner_h / height
    window = (
        max(0.0, pad - margin * step_x),
        max(0.0, pad - margin * step_y),
        min(float(pixels.width), pad + inner_w + margin * step_x),
        min(float(pixels.height), pad + inner_h + margin * step_y),
    )
    size = (width + 2 * margin, height + 2 * margin)
    return pixels.resize(size, Image.Resampling.HAMMING, box=window), margin


def _extent(kind: str, side: int) -> tuple[int, int, int]:
    """Return inner width, inner height and padding of a tone map, in pixels."""
    aspect = ASPECT[kind]
    width = max(1, round(side * min(1.0, aspect)))
    return width, max(1, round(side * min(1.0, 1 / aspect))), math.ceil(_PAD * side)


def _paint(kind: str, color: str, texture: str, side: int) -> Image.Image:
    tones, light, ground = _plate(kind, texture, side)
    picture = Image.fromarray(np.take(_palette(color), tones, axis=0))
    return Image.alpha_composite(ground, Image.alpha_composite(picture, light))


@lru_cache(maxsize=1200)
def _paint_kept(kind: str, color: str, texture: str, side: int) -> Image.Image:
    return _paint(kind, color, texture, side)


@lru_cache(maxsize=100)
def _plate(kind: str, texture: str, side: int) -> tuple[np.ndarray, Image.Image, Image.Image]:
    """Return what things of all colors share: tone map (H, W) uint8, light and shadow (RGBA)."""
    tones = tone_map(kind, side)
    inside = tones != HOLE
    mask = Image.fromarray((inside * 255).astype(np.uint8))
    marks = _marks(texture, tones.shape, side)
    tones = np.where((tones == BODY) & marks, MARK, tones).astype(np.uint8)
    edge = max(1, round(_EDGE_WIDTH * side))
    inner = np.asarray(_grown(mask, -edge)) > 127
    outer = np.asarray(_grown(mask, max(1, round(_RIM_WIDTH * side)))) > 127
    tones[inside & ~inner] = EDGE
    tones[outer & ~inside] = RIM
    return tones, _light(mask, side), _shadow(mask, side)


def tone_map(kind: str, side: int) -> np.ndarray:
    """Draw the strokes of a kind: (H, W) uint8 tones on a ground of `HOLE`, with padding."""
    width, height, pad = _extent(kind, side)
    image = Image.new("L", (width + 2 * pad, height + 2 * pad), HOLE)
    draw = ImageDraw.Draw(image)

    def place(values) -> list[float]:
        scale = (width - 1, height - 1)
        return [pad + v * scale[i % 2] for i, v in enumerate(values)]

    for form, tone, numbers in STROKES[kind]:
        if form == "poly":
            draw.polygon(place(numbers), fill=tone)
        elif form == "oval":
            draw.ellipse(place(numbers), fill=tone)
        elif form == "rect":
            radius = numbers[4] * side if len(numbers) > 4 else 0
            draw.rounded_rectangle(place(numbers[:4]), radius=radius, fill=tone)
        elif form == "line":
            thick = max(1, round(numbers[0] * side))
            draw.line(place(numbers[1:]), fill=tone, width=thick, joint="curve")
        elif form == "arc":
            thick = max(1, round(numbers[0] * side))
            draw.arc(place(numbers[1:5]), numbers[5], numbers[6], fill=tone, width=thick)
        else:  # a pie
            draw.pieslice(place(numbers[:4]), numbers[4], numbers[5], fill=tone)
    tones = np.asarray(image).copy()
    tones[:pad], tones[pad + height :] = HOLE, HOLE  # strokes may not leave the box
    tones[:, :pad], tones[:, pad + width :] = HOLE, HOLE
    return tones


def _grown(mask: Image.Image, pixels: int) -> Image.Image:
    """Grow (or shrink, below 0) a mask by about so many pixels, with round corners.

    Two passes of a small square and one blur-and-threshold would be slower; a blurred mask cut
    at the right level is round and quick.
    """
    blurred = mask.filter(ImageFilter.GaussianBlur(abs(pixels)))
    # Across a straight edge the blurred mask is the normal distribution function: at one sigma
    # outside 0.16, inside 0.84.
    level = round(255 * (0.84 if pixels < 0 else 0.16))
    return blurred.point([255 if v > level else 0 for v in range(256)])


def _marks(texture: str, shape: tuple[int, ...], side: int) -> np.ndarray:
    """Return where stripes or spots lie, as a (H, W) bool array."""
    y, x = np.mgrid[: shape[0], : shape[1]] / side
    if texture == "striped":
        return ((x + y) % 0.26) < 0.105
    if texture == "speckled":
        u, v = x / 0.27, y / 0.235
        u = u + 0.5 * (np.floor(v) % 2)
        return ((u % 1 - 0.5) * 0.27) ** 2 + ((v % 1 - 0.5) * 0.235) ** 2 < 0.078**2
    return np.zeros(shape, dtype=bool)


def _light(mask: Image.Image, side: int) -> Image.Image:
    """Return light at the upper left and shade at the lower right edges, as an RGBA layer."""
    soft = np.asarray(mask.filter(ImageFilter.GaussianBlur(0.09 * side)), dtype=np.float32) / 255
    slope = np.gradient(soft, axis=0) + np.gradient(soft, axis=1)
    slope *= 0.07 * side  # above 0 where the surface faces the light
    alpha = np.where(slope > 0, np.minimum(slope, 0.2), np.minimum(-slope, 0.17))
    layer = np.zeros((*soft.shape, 4), dtype=np.uint8)
    layer[..., :3] = np.where(slope[..., None] > 0, 255, 0)
    layer[..., 3] = 255 * alpha * (np.asarray(mask) > 0)
    return Image.fromarray(layer)


def _shadow(mask: Image.Image, side: int) -> Image.Image:
    """Return a soft shadow, a little below and to the right, as an RGBA layer."""
    offset = round(0.05 * side)
    moved = Image.new("L", mask.size, 0)
    moved.paste(mask, (offset // 2, offset))
    soft = np.asarray(moved.filter(ImageFilter.GaussianBlur(0.035 * side)), dtype=np.float32)
    ground = Image.new("RGBA", mask.size, (16, 18, 34, 0))
    ground.putalpha(Image.fromarray((0.42 * soft).astype(np.uint8)))
    return ground


@lru_cache(maxsize=64)
def _palette(color: str) -> np.ndarray:
    """Return the RGBA of each tone for a thing of this color: (tones, 4) uint8."""
    base = np.array(COLORS[color], dtype=np.float32)
    brightness = float(base @ np.array([0.299, 0.587, 0.114], dtype=np.float32))
    white, black = np.array([255, 255, 255]), np.array([14, 14, 20])

    def mix(other, share: float) -> np.ndarray:
        return base * (1 - share) + other * share

    dark, white_thing = brightness < 60, color == "white"
    table = np.zeros((_TONES, 4), dtype=np.float32)
    table[:, 3] = 255
    table[HOLE] = 0
    table[BODY, :3] = base
    table[DEEP, :3] = mix(white, 0.22) if dark else mix(black, 0.12 if white_thing else 0.3)
    table[LIGHT, :3] = mix(white, 0.12 if dark else 0.35)
    table[CREAM, :3] = (250, 240, 216)
    table[INK, :3] = (46, 44, 52)
    table[FLAME, :3] = (255, 176, 32)
    # Marks keep the thing's own color in the majority, also once they are a pixel wide.
    darker = mix(black, 0.45 if white_thing else 0.6)
    table[MARK, :3] = darker if color in _DARK_MARKS else mix(white, 0.78)
    table[EDGE, :3] = black if dark else mix(black, 0.38 if white_thing else 0.5)
    table[RIM] = (255, 255, 255, 185)
    return table.astype(np.uint8)
