"""The silhouettes of the 32 kinds, as lists of simple strokes.

A stroke is (form, tone, numbers). Coordinates are those of the kind's own box: (0, 0) its upper
left, (1, 1) its lower right corner, and every drawing touches all four sides, so boxes are exact.
A tone says what the stroke is made of; `sprites` turns tones into colors:

* `BODY` carries the color and the texture, `DEEP` and `LIGHT` are a shade and a tint of the color,
* `CREAM`, `INK` and `FLAME` are the same on things of all colors,
* `HOLE` cuts through.
"""

from __future__ import annotations

import math

HOLE, BODY, DEEP, LIGHT, CREAM, INK, FLAME = range(7)

Stroke = tuple[str, int, tuple[float, ...]]

# Width over height of each kind's box.
ASPECT: dict[str, float] = {
    "ball": 1.0, "box": 1.05, "cone": 0.85, "star": 1.05, "heart": 1.08, "moon": 0.8, "ring": 1.0,
    "arrow": 0.95, "house": 1.05, "tree": 0.78, "car": 1.7, "boat": 1.05, "fish": 1.6, "cup": 1.1,
    "bottle": 0.46, "mushroom": 1.0, "flower": 0.74, "umbrella": 1.0, "lamp": 0.78, "bell": 0.92,
    "kite": 0.68, "hat": 1.3, "apple": 0.95, "anchor": 0.86, "flag": 0.95, "candle": 0.42,
    "ladder": 0.55, "crown": 1.25, "butterfly": 1.2, "hammer": 0.85, "cactus": 0.8, "rocket": 0.62,
}  # fmt: skip


def _poly(tone: int, *points: float) -> Stroke:
    return "poly", tone, points


def _oval(tone: int, *box: float) -> Stroke:
    return "oval", tone, box


def _rect(tone: int, *box: float) -> Stroke:
    """A rectangle; a fifth number rounds its corners (share of the box's longer side)."""
    return "rect", tone, box


def _line(tone: int, width: float, *points: float) -> Stroke:
    """A line with round joints; its width is a share of the longer side."""
    return "line", tone, (width, *points)


def _arc(tone: int, width: float, *box_and_angles: float) -> Stroke:
    """An arc inside a box, from one angle to another (degrees, clockwise from the right)."""
    return "arc", tone, (width, *box_and_angles)


def _fit(points: list[tuple[float, float]]) -> list[float]:
    """Stretch a curve so that it fills the unit square, and flatten it."""
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    x0, y0, w, h = min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)
    return [v for x, y in points for v in ((x - x0) / w, (y - y0) / h)]


def _star() -> list[float]:
    corners = [((1.0, 0.45)[k % 2], math.pi * k / 5 - math.pi / 2) for k in range(10)]
    return _fit([(radius * math.cos(a), radius * math.sin(a)) for radius, a in corners])


def _heart() -> list[float]:
    angles = [2 * math.pi * k / 72 for k in range(72)]
    return _fit(
        [
            (
                16 * math.sin(a) ** 3,
                -(13 * math.cos(a) - 5 * math.cos(2 * a) - 2 * math.cos(3 * a) - math.cos(4 * a)),
            )
            for a in angles
        ]
    )


def _crescent() -> list[float]:
    outer = [math.radians(a) for a in range(55, 306, 5)]
    inner = [math.radians(a) for a in range(275, 84, -5)]
    tip_x, tip_y = math.cos(outer[-1]), math.sin(outer[-1])
    # The inner edge is a circle through both tips of the outer one, shifted to the right.
    radius = abs(tip_y) / math.sin(math.radians(85))
    shift = tip_x - radius * math.cos(math.radians(275))
    points = [(math.cos(a), math.sin(a)) for a in outer]
    points += [(shift + radius * math.cos(a), radius * math.sin(a)) for a in inner]
    return _fit(points)


def _petals() -> list[Stroke]:
    """Six petals around (0.5, 0.352); y is squeezed by the box's aspect."""
    angles = [math.radians(60 * k) for k in range(6)]
    places = [(0.5 + 0.325 * math.cos(a), 0.352 + 0.252 * math.sin(a)) for a in angles]
    return [_oval(BODY, x - 0.175, y - 0.134, x + 0.175, y + 0.134) for x, y in places]


def _rungs() -> list[Stroke]:
    return [_rect(BODY, 0.1, y, 0.9, y + 0.085) for y in (0.1, 0.29, 0.48, 0.67, 0.86)]


_CLOTH = (0.11, 0.06, 0.4, 0.03, 0.7, 0.12, 1, 0.07, 1, 0.6, 0.7, 0.65, 0.4, 0.56, 0.11, 0.59)

STROKES: dict[str, tuple[Stroke, ...]] = {
    "ball": (
        _oval(BODY, 0, 0, 1, 1),
        _arc(DEEP, 0.05, -0.75, -0.1, 0.42, 1.1, -42, 42),
        _arc(DEEP, 0.05, 0.58, -0.1, 1.75, 1.1, 138, 222),
    ),
    "box": (
        _poly(LIGHT, 0, 0.28, 0.26, 0, 1, 0, 0.74, 0.28),
        _poly(DEEP, 0.74, 0.28, 1, 0, 1, 0.72, 0.74, 1),
        _rect(BODY, 0, 0.28, 0.74, 1),
    ),
    "cone": (_poly(BODY, 0.44, 0, 0.56, 0, 0.84, 0.88, 0.16, 0.88), _rect(DEEP, 0, 0.85, 1, 1)),
    "star": (_poly(BODY, *_star()),),
    "heart": (_poly(BODY, *_heart()),),
    "moon": (_poly(BODY, *_crescent()),),
    "ring": (_oval(BODY, 0, 0, 1, 1), _oval(HOLE, 0.25, 0.25, 0.75, 0.75)),
    "arrow": (_poly(BODY, 0.5, 0, 1, 0.46, 0.69, 0.46, 0.69, 1, 0.31, 1, 0.31, 0.46, 0, 0.46),),
    "house": (
        _rect(BODY, 0.1, 0.4, 0.9, 1),
        _poly(DEEP, 0.5, 0, 1, 0.46, 0, 0.46),
        _rect(DEEP, 0.56, 0.62, 0.76, 1),
        _rect(CREAM, 0.22, 0.58, 0.44, 0.78),
    ),
    "tree": (
        _rect(DEEP, 0.4, 0.8, 0.6, 1),
        _poly(BODY, 0.5, 0, 0.8, 0.36, 0.66, 0.36, 0.34, 0.36, 0.2, 0.36),
        _poly(BODY, 0.5, 0.16, 0.9, 0.6, 0.1, 0.6),
        _poly(BODY, 0.5, 0.36, 1, 0.86, 0, 0.86),
    ),
    "car": (
        _poly(BODY, 0.2, 0.42, 0.3, 0, 0.68, 0, 0.84, 0.42),
        _rect(BODY, 0, 0.36, 1, 0.8, 0.07),
        _poly(CREAM, 0.27, 0.4, 0.34, 0.1, 0.48, 0.1, 0.48, 0.4),
        _poly(CREAM, 0.54, 0.4, 0.54, 0.1, 0.65, 0.1, 0.76, 0.4),
        _oval(INK, 0.12, 0.6, 0.36, 1),
        _oval(INK, 0.64, 0.6, 0.88, 1),
        _oval(CREAM, 0.2, 0.73, 0.28, 0.87),
        _oval(CREAM, 0.72, 0.73, 0.8, 0.87),
    ),
    "boat": (
        _rect(DEEP, 0.47, 0, 0.53, 0.75),
        _poly(BODY, 0.57, 0.04, 0.96, 0.62, 0.57, 0.62),
        _poly(LIGHT, 0.43, 0.14, 0.43, 0.62, 0.12, 0.62),
        _poly(BODY, 0, 0.7, 1, 0.7, 0.82, 1, 0.18, 1),
    ),
    "fish": (
        _poly(DEEP, 0.72, 0.5, 1, 0.08, 1, 0.92),
        _poly(DEEP, 0.3, 0.2, 0.46, 0, 0.62, 0.2),
        _oval(BODY, 0, 0.08, 0.8, 1),
        _oval(CREAM, 0.13, 0.32, 0.25, 0.52),
        _oval(INK, 0.16, 0.37, 0.22, 0.47),
    ),
    "cup": (
        _oval(BODY, 0.52, 0.2, 1, 0.78),
        _oval(HOLE, 0.62, 0.33, 0.87, 0.65),
        _poly(BODY, 0, 0.1, 0.76, 0.1, 0.68, 1, 0.08, 1),
        _oval(BODY, 0, 0, 0.76, 0.22),
        _oval(DEEP, 0.05, 0.04, 0.71, 0.18),
    ),
    "bottle": (
        _rect(DEEP, 0.32, 0, 0.68, 0.11),
        _rect(BODY, 0.36, 0.08, 0.64, 0.4),
        _poly(BODY, 0.36, 0.26, 0.64, 0.26, 1, 0.46, 1, 0.6, 0, 0.6, 0, 0.46),
        _rect(BODY, 0, 0.44, 1, 1, 0.06),
        _rect(CREAM, 0.16, 0.6, 0.84, 0.8),
    ),
    "mushroom": (
        _rect(CREAM, 0.33, 0.45, 0.67, 1, 0.1),
        ("pie", BODY, (0.0, 0.0, 1.0, 1.2, 180.0, 360.0)),
        _oval(BODY, 0, 0.46, 1, 0.68),
    ),
    "flower": (
        _rect(DEEP, 0.45, 0.5, 0.55, 1),
        _oval(DEEP, 0.5, 0.76, 0.9, 0.92),
        *_petals(),
        _oval(BODY, 0.25, 0.17, 0.75, 0.54),
        _oval(CREAM, 0.35, 0.24, 0.65, 0.464),
    ),
    "umbrella": (
        _rect(DEEP, 0.465, 0.4, 0.535, 0.86),
        _arc(DEEP, 0.07, 0.465, 0.72, 0.75, 1, 0, 180),
        ("pie", BODY, (0.0, 0.0, 1.0, 1.1, 180.0, 360.0)),
        _oval(HOLE, 0.02, 0.47, 0.34, 0.63),
        _oval(HOLE, 0.66, 0.47, 0.98, 0.63),
    ),
    "lamp": (
        _poly(BODY, 0.26, 0, 0.74, 0, 1, 0.52, 0, 0.52),
        _rect(DEEP, 0.44, 0.52, 0.56, 0.9),
        _rect(DEEP, 0.2, 0.88, 0.8, 1),
    ),
    "bell": (
        _oval(DEEP, 0.38, 0.8, 0.62, 1),
        _oval(DEEP, 0.42, 0, 0.58, 0.16),
        ("pie", BODY, (0.18, 0.08, 0.82, 0.88, 180.0, 360.0)),
        _poly(BODY, 0.18, 0.46, 0.82, 0.46, 0.88, 0.72, 1, 0.88, 0, 0.88, 0.12, 0.72),
    ),
    "kite": (
        _line(DEEP, 0.06, 0.5, 0.66, 0.68, 0.78, 0.38, 0.88, 0.56, 1.04),
        _poly(BODY, 0.5, 0, 1, 0.3, 0.5, 0.72, 0, 0.3),
        _line(DEEP, 0.025, 0.5, 0.02, 0.5, 0.7),
        _line(DEEP, 0.025, 0.02, 0.3, 0.98, 0.3),
    ),
    "hat": (
        _rect(BODY, 0.22, 0, 0.78, 0.86, 0.04),
        _rect(DEEP, 0.22, 0.56, 0.78, 0.74),
        _rect(BODY, 0, 0.76, 1, 1, 0.09),
    ),
    "apple": (
        _oval(BODY, 0, 0.2, 0.62, 0.92),
        _oval(BODY, 0.38, 0.2, 1, 0.92),
        _oval(BODY, 0.14, 0.42, 0.86, 1),
        _line(INK, 0.06, 0.5, 0.32, 0.52, 0.06),
        _oval(DEEP, 0.52, 0, 0.88, 0.17),
    ),
    "anchor": (
        _oval(BODY, 0.34, 0, 0.66, 0.27),
        _oval(HOLE, 0.43, 0.075, 0.57, 0.195),
        _rect(BODY, 0.43, 0.24, 0.57, 0.98),
        _rect(BODY, 0.2, 0.3, 0.8, 0.41),
        _arc(BODY, 0.13, 0.06, 0.36, 0.94, 1, 5, 175),
        _poly(BODY, 0, 0.78, 0.1, 0.52, 0.3, 0.72),
        _poly(BODY, 1, 0.78, 0.9, 0.52, 0.7, 0.72),
    ),
    "flag": (
        _rect(DEEP, 0, 0, 0.11, 1, 0.04),
        _poly(BODY, *_CLOTH),
    ),
    "candle": (
        _poly(FLAME, 0.5, 0, 0.72, 0.16, 0.66, 0.25, 0.5, 0.28, 0.34, 0.25, 0.28, 0.16),
        _line(INK, 0.03, 0.5, 0.24, 0.5, 0.36),
        _rect(BODY, 0.2, 0.32, 0.8, 0.92),
        _rect(DEEP, 0, 0.88, 1, 1, 0.05),
    ),
    "ladder": (*_rungs(), _rect(BODY, 0, 0, 0.22, 1), _rect(BODY, 0.78, 0, 1, 1)),
    "crown": (
        _poly(BODY, 0, 0.16, 0.24, 0.52, 0.5, 0.06, 0.76, 0.52, 1, 0.16, 0.9, 0.86, 0.1, 0.86),
        _rect(DEEP, 0.1, 0.8, 0.9, 1),
        _oval(BODY, 0, 0.08, 0.13, 0.25),
        _oval(BODY, 0.43, 0, 0.57, 0.18),
        _oval(BODY, 0.87, 0.08, 1, 0.25),
    ),
    "butterfly": (
        _poly(BODY, 0.5, 0.44, 0.3, 0.08, 0.1, 0, 0, 0.16, 0.06, 0.46, 0.3, 0.56),
        _poly(BODY, 0.5, 0.44, 0.7, 0.08, 0.9, 0, 1, 0.16, 0.94, 0.46, 0.7, 0.56),
        _oval(BODY, 0.1, 0.48, 0.48, 1),
        _oval(BODY, 0.52, 0.48, 0.9, 1),
        _oval(INK, 0.455, 0.16, 0.545, 0.9),
    ),
    "hammer": (
        _rect(DEEP, 0.41, 0.3, 0.59, 1, 0.05),
        _rect(BODY, 0.14, 0, 0.8, 0.4),
        _rect(BODY, 0, 0.06, 0.2, 0.34),
        _poly(BODY, 0.78, 0, 1, 0.2, 0.78, 0.4),
    ),
    "cactus": (
        _rect(BODY, 0.36, 0, 0.64, 1, 0.14),
        _rect(BODY, 0, 0.2, 0.2, 0.62, 0.09),
        _rect(BODY, 0.02, 0.46, 0.46, 0.64, 0.08),
        _rect(BODY, 0.8, 0.12, 1, 0.54, 0.09),
        _rect(BODY, 0.54, 0.38, 0.98, 0.56, 0.08),
    ),
    "rocket": (
        _poly(DEEP, 0.24, 0.5, 0, 0.76, 0, 0.94, 0.3, 0.8),
        _poly(DEEP, 0.76, 0.5, 1, 0.76, 1, 0.94, 0.7, 0.8),
        _poly(FLAME, 0.36, 0.82, 0.64, 0.82, 0.5, 1),
        _poly(BODY, 0.5, 0, 0.72, 0.2, 0.8, 0.46, 0.74, 0.86, 0.26, 0.86, 0.2, 0.46, 0.28, 0.2),
        _oval(CREAM, 0.36, 0.3, 0.64, 0.48),
    ),
}
