"""Where a scene takes place: room, field, street or beach, by day, at night, in rain or snow.

The weather is in the background and, lightly, in a veil of streaks or flakes over everything;
things themselves keep their colors. Nothing in a background resembles a kind of thing.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from trifocal.world.vocabulary import CONDITIONS, PLACES

Rgb = tuple[int, int, int]

_SKY: dict[str, tuple[Rgb, Rgb]] = {
    "day": ((120, 186, 236), (206, 232, 246)),
    "night": ((22, 28, 66), (62, 70, 122)),
    "rain": ((112, 124, 138), (170, 180, 188)),
    "snow": ((178, 194, 212), (222, 230, 238)),
}
_WALL: dict[str, Rgb] = {
    "day": (240, 222, 190),
    "night": (76, 72, 108),
    "rain": (186, 188, 184),
    "snow": (214, 224, 232),
}
_FLOOR: dict[str, Rgb] = {
    "day": (196, 146, 98),
    "night": (66, 52, 66),
    "rain": (142, 116, 96),
    "snow": (184, 158, 136),
}
_GRASS: dict[str, tuple[Rgb, Rgb]] = {
    "day": ((150, 204, 104), (104, 170, 76)),
    "night": ((38, 70, 66), (26, 52, 50)),
    "rain": ((104, 138, 96), (78, 112, 76)),
    "snow": ((240, 244, 250), (218, 226, 238)),
}
_ROAD: dict[str, Rgb] = {
    "day": (112, 114, 124),
    "night": (46, 48, 64),
    "rain": (78, 84, 96),
    "snow": (196, 202, 212),
}
_PAVEMENT: dict[str, Rgb] = {
    "day": (206, 200, 190),
    "night": (78, 78, 98),
    "rain": (142, 144, 148),
    "snow": (238, 242, 248),
}
_FACADES: dict[str, tuple[Rgb, ...]] = {
    "day": ((214, 178, 156), (190, 196, 208), (222, 204, 168), (176, 164, 170)),
    "night": ((48, 48, 84), (58, 52, 88), (42, 50, 78), (54, 56, 94)),
    "rain": ((146, 136, 132), (132, 138, 146), (152, 146, 134), (126, 122, 128)),
    "snow": ((198, 186, 182), (186, 194, 206), (206, 200, 190), (180, 178, 188)),
}
_SEA: dict[str, tuple[Rgb, Rgb]] = {
    "day": ((40, 132, 190), (110, 196, 214)),
    "night": ((20, 40, 84), (44, 74, 116)),
    "rain": ((84, 108, 124), (126, 146, 154)),
    "snow": ((112, 144, 166), (166, 190, 202)),
}
_SAND: dict[str, tuple[Rgb, Rgb]] = {
    "day": ((246, 226, 172), (232, 204, 146)),
    "night": ((92, 86, 108), (74, 70, 94)),
    "rain": ((186, 172, 146), (164, 150, 126)),
    "snow": ((244, 244, 244), (228, 226, 224)),
}
_WINDOW: dict[str, tuple[Rgb, Rgb]] = {
    "day": ((140, 202, 244), (214, 238, 250)),
    "night": ((16, 20, 54), (44, 52, 104)),
    "rain": ((108, 122, 138), (150, 162, 172)),
    "snow": ((190, 206, 222), (234, 240, 246)),
}


@lru_cache(maxsize=256)
def background(place: str, condition: str, variant: int, width: int, height: int) -> Image.Image:
    """Return an RGB background; callers must not change it."""
    big_w, big_h = (2 * width, 2 * height) if max(width, height) < 512 else (width, height)
    rng = _generator(place, condition, variant)
    canvas = _Canvas(big_w, big_h, condition, rng)
    _PAINTERS[place](canvas)
    return canvas.image.resize((width, height), Image.Resampling.BOX)


@lru_cache(maxsize=64)
def veil(condition: str, variant: int, width: int, height: int) -> Image.Image | None:
    """Return the RGBA weather that falls before the things, or None where there is none."""
    if condition not in ("rain", "snow"):
        return None
    scale = 3 if max(width, height) < 512 else 1
    image = Image.new("RGBA", (scale * width, scale * height), (255, 255, 255, 0))
    draw = ImageDraw.Draw(image)
    _fall(draw, condition, (0, 0, *image.size), _generator("veil", condition, variant), share=0.45)
    return image.resize((width, height), Image.Resampling.BOX)


def _generator(place: str, condition: str, variant: int) -> np.random.Generator:
    codes = ((*PLACES, "veil").index(place), CONDITIONS.index(condition), variant)
    return np.random.default_rng(codes)


def _fall(draw, condition: str, box, rng: np.random.Generator, share: float = 1.0) -> None:
    """Draw rain streaks or snow flakes into a box of pixels."""
    x0, y0, x1, y1 = box
    unit = max(draw.im.size) / 64
    count = int(share * (90 if condition == "rain" else 110))
    for x, y, far in rng.random((count, 3)):
        px, py = x0 + x * (x1 - x0), y0 + y * (y1 - y0)
        if condition == "rain":
            length = (3.0 + 3.0 * far) * unit
            end = (max(x0, px - 0.25 * length), min(y1, py + length))
            draw.line((px, py, *end), fill=(214, 228, 244, 150), width=max(1, round(0.28 * unit)))
        else:
            radius = (0.35 + 0.4 * far) * unit
            box = (px - radius, py - radius, px + radius, py + radius)
            draw.ellipse(box, fill=(255, 255, 255, 225))


class _Canvas:
    """A picture being painted, with forms in unit coordinates."""

    def __init__(self, width: int, height: int, condition: str, rng: np.random.Generator):
        self.image = Image.new("RGB", (width, height))
        self.draw = ImageDraw.Draw(self.image, "RGBA")
        self.width, self.height = width, height
        self.condition = condition
        self.rng = rng

    def px(self, *values: float) -> list[float]:
        return [v * (self.height if i % 2 else self.width) for i, v in enumerate(values)]

    def shade(self, top: Rgb, bottom: Rgb, y0: float, y1: float, x0: float = 0, x1: float = 1):
        left, upper, right, lower = (round(v) for v in self.px(x0, y0, x1, y1))
        t = np.linspace(0, 1, max(1, lower - upper))[:, None, None]
        strip = np.array(top) * (1 - t) + np.array(bottom) * t
        strip = np.broadcast_to(strip, (len(t), right - left, 3)).astype(np.uint8)
        self.image.paste(Image.fromarray(strip), (left, upper))

    def oval(self, x: float, y: float, rx: float, ry: float, color) -> None:
        self.draw.ellipse(self.px(x - rx, y - ry, x + rx, y + ry), fill=color)

    def box(self, x0: float, y0: float, x1: float, y1: float, color) -> None:
        self.draw.rectangle(self.px(x0, y0, x1, y1), fill=color)

    def hill(self, base: float, height: float, waves: float, color) -> None:
        phase = self.rng.random() * 6.28
        xs = np.linspace(0, 1, 60)
        ys = base + height * np.sin(waves * xs * 6.28 + phase)
        points = [(x * self.width, y * self.height) for x, y in zip(xs, ys)]
        self.draw.polygon([*points, (self.width, self.height), (0, self.height)], fill=color)

    def speckle(self, color, count: int, y0: float, y1: float) -> None:
        """Strew small flat dots, smaller with distance."""
        for x, t in self.rng.random((count, 2)):
            s = 0.006 * (0.4 + 0.9 * t)
            self.oval(x, y0 + t * (y1 - y0), s, 0.5 * s, color)


def _sky(canvas: _Canvas, horizon: float) -> None:
    condition, rng = canvas.condition, canvas.rng
    canvas.shade(*_SKY[condition], 0.0, horizon + 0.05)
    if condition == "night":
        for x, y, s in rng.random((26, 3)):
            r = 0.0025 + 0.003 * s
            canvas.oval(x, y * horizon * 0.9, r, r, (236, 236, 214, 210))
        return
    tint = {"day": (255, 255, 255, 190), "rain": (92, 102, 116, 150), "snow": (240, 244, 250, 170)}
    layer = Image.new("RGBA", canvas.image.size, (*tint[condition][:3], 0))
    draw = ImageDraw.Draw(layer)
    for x, y, s in rng.random((3 if condition == "day" else 6, 3)):
        for k in range(5):
            cx, cy = x + 0.055 * (k - 2), 0.04 + y * horizon * 0.55 + 0.012 * abs(k - 2)
            r = (0.03 + 0.02 * s) * (1.15 - 0.2 * abs(k - 2))
            box = canvas.px(cx - r * 1.5, cy - r * 0.7, cx + r * 1.5, cy + r * 0.7)
            draw.ellipse(box, fill=tint[condition])
    layer = layer.filter(ImageFilter.GaussianBlur(0.012 * canvas.width))
    canvas.image.paste(layer, (0, 0), layer)


def _back_fall(canvas: _Canvas, box=(0.0, 0.0, 1.0, 1.0)) -> None:
    if canvas.condition in ("rain", "snow"):
        _fall(canvas.draw, canvas.condition, canvas.px(*box), canvas.rng)


def _room(canvas: _Canvas) -> None:
    wall, floor = np.array(_WALL[canvas.condition]), np.array(_FLOOR[canvas.condition])
    line = 0.66 + 0.03 * canvas.rng.random()
    canvas.shade(tuple(wall), tuple((wall * 0.93).astype(int)), 0, line)
    for k in range(11):  # wallpaper
        canvas.box(k / 11 + 0.035, 0, k / 11 + 0.055, line, (255, 255, 255, 16))
    canvas.shade(tuple(floor), tuple((floor * 0.82).astype(int)), line, 1)
    for k in range(1, 5):  # floorboards
        y = line + (1 - line) * (k / 5) ** 1.4
        canvas.box(0, y, 1, y + 0.004, (*(floor * 0.72).astype(int), 150))
    light = 0.35 if canvas.condition == "night" else 1
    skirting = tuple((wall * 0.6 + 255 * 0.4 * light).astype(int))
    canvas.box(0, line - 0.035, 1, line, skirting)
    x0 = 0.1 + 0.12 * canvas.rng.random()
    x1, y0, y1 = x0 + 0.66, 0.09, 0.5
    canvas.box(x0 - 0.025, y0 - 0.025, x1 + 0.025, y1 + 0.025, skirting)
    canvas.shade(*_WINDOW[canvas.condition], y0, y1, x0, x1)
    if canvas.condition == "night":
        for x, y in canvas.rng.random((14, 2)):
            canvas.oval(x0 + x * 0.66, y0 + y * 0.36, 0.004, 0.004, (240, 240, 220))
    _back_fall(canvas, (x0, y0, x1, y1))
    for k in (1, 2):
        x = x0 + k * 0.22
        canvas.box(x - 0.008, y0, x + 0.008, y1, skirting)
    canvas.box(x0 - 0.04, y1 + 0.02, x1 + 0.04, y1 + 0.045, skirting)


def _field(canvas: _Canvas) -> None:
    horizon = 0.4 + 0.05 * canvas.rng.random()
    _sky(canvas, horizon)
    far, near = (np.array(c) for c in _GRASS[canvas.condition])
    haze = np.array(_SKY[canvas.condition][1])
    canvas.hill(horizon - 0.02, 0.035, 1.1, tuple((0.55 * far + 0.45 * haze).astype(int)))
    canvas.hill(horizon + 0.05, 0.025, 0.8, tuple(far))
    canvas.hill(horizon + 0.17, 0.02, 0.7, tuple((0.6 * far + 0.4 * near).astype(int)))
    canvas.hill(horizon + 0.33, 0.02, 0.9, tuple(near))
    blade = (near * (0.86 if canvas.condition != "snow" else 0.95)).astype(int)
    for x, t in canvas.rng.random((150, 2)):  # grass blades
        y, s = horizon + 0.1 + t * (0.9 - horizon), 0.006 + 0.014 * t
        tip = canvas.px(x, y, x + 0.3 * s, y - s)
        canvas.draw.line(tip, fill=tuple(blade), width=max(1, canvas.width // 250))
    _back_fall(canvas)


def _street(canvas: _Canvas) -> None:
    horizon, rng = 0.46 + 0.04 * canvas.rng.random(), canvas.rng
    _sky(canvas, horizon)
    colors, x, night = _FACADES[canvas.condition], -0.05, canvas.condition == "night"
    while x < 1:
        width, top = 0.14 + 0.12 * rng.random(), 0.1 + 0.2 * rng.random()
        color = colors[rng.integers(len(colors))]
        canvas.box(x, top, x + width - 0.004, horizon + 0.06, color)
        lit = {"night": (250, 214, 120, 235), "day": (120, 150, 180, 190)}
        for row in range(int((horizon - top) / 0.085)):
            for column in range(int(width / 0.06)):
                glass = lit.get(canvas.condition, (88, 102, 122, 190))
                if night and rng.random() < 0.55:
                    glass = (26, 30, 60, 255)
                wx, wy = x + 0.022 + 0.058 * column, top + 0.03 + 0.085 * row
                canvas.box(wx, wy, wx + 0.024, wy + 0.042, glass)
        x += width
    pavement, road = np.array(_PAVEMENT[canvas.condition]), np.array(_ROAD[canvas.condition])
    canvas.box(0, horizon + 0.05, 1, 1, tuple(pavement))
    canvas.shade(tuple(road), tuple((road * 0.86).astype(int)), horizon + 0.14, 0.93)
    canvas.box(0, horizon + 0.13, 1, horizon + 0.14, tuple((pavement * 0.78).astype(int)))
    canvas.box(0, 0.93, 1, 0.94, tuple((pavement * 0.78).astype(int)))
    middle = (horizon + 0.14 + 0.93) / 2
    start = rng.random() * 0.1
    for k in range(6):
        a, top, low = start + 0.2 * k - 0.1, middle - 0.01, middle + 0.012
        dash = canvas.px(a, top, a + 0.1, top, a + 0.09, low, a - 0.01, low)
        canvas.draw.polygon(dash, fill=(240, 236, 220, 120 if night else 210))
    if canvas.condition == "rain":  # puddles
        for px, py in rng.random((4, 2)):
            canvas.oval(px, horizon + 0.2 + 0.35 * py, 0.09, 0.014, (176, 190, 204, 130))
    _back_fall(canvas)


def _beach(canvas: _Canvas) -> None:
    horizon = 0.34 + 0.04 * canvas.rng.random()
    _sky(canvas, horizon)
    canvas.shade(*_SEA[canvas.condition], horizon, 0.66)
    foam = (255, 255, 255, 60 if canvas.condition == "night" else 120)
    for x, t in canvas.rng.random((26, 2)):  # wave crests
        y, s = horizon + 0.02 + t * 0.22, 0.02 + 0.04 * t
        crest = canvas.px(x - s, y, x + s, y)
        canvas.draw.line(crest, fill=foam, width=max(1, canvas.width // 160))
    far, near = _SAND[canvas.condition]
    canvas.hill(0.6, 0.012, 1.3, (255, 255, 255, 120 if canvas.condition == "night" else 220))
    canvas.hill(0.618, 0.013, 1.2, far)
    canvas.hill(0.78, 0.015, 0.8, near)
    grain = tuple((np.array(near) * 0.9).astype(int))
    canvas.speckle((*grain, 200), 120, 0.66, 1.0)
    _back_fall(canvas)


_PAINTERS = {"room": _room, "field": _field, "street": _street, "beach": _beach}
