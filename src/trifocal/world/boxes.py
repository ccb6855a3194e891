"""Boxes of a scene in pixels, and boxes as a detector might propose them.

Scene graphs have boxes as (x0, y0, x1, y1) in unit coordinates (`UnitBox`), region data has them
as (left, top, width, height) in pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

UnitBox = tuple[float, float, float, float]
_NEAR = (0.6, 0.95)  # overlap (IoU) of a proposal with what it proposes
_FAR = 0.45  # overlap of a stray proposal with anything: below 0.5 also after rounding to pixels
_STRAYS = 3
_TRIES = 200


def pixel_box(box: UnitBox, width: int, height: int) -> tuple[int, int, int, int]:
    """Return where a box falls in a picture of this size; whole pixels, at least one."""
    x0, y0, x1, y1 = box
    return (
        round(x0 * width),
        round(y0 * height),
        max(1, round((x1 - x0) * width)),
        max(1, round((y1 - y0) * height)),
    )


def overlap(a: UnitBox, b: UnitBox) -> float:
    """Return intersection over union."""
    wide = min(a[2], b[2]) - max(a[0], b[0])
    high = min(a[3], b[3]) - max(a[1], b[1])
    if wide <= 0 or high <= 0:
        return 0.0
    shared = wide * high
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def proposals(boxes: Sequence[UnitBox], rng: np.random.Generator) -> tuple[UnitBox, ...]:
    """Return proposals for a picture: one near each box and some strays, in random order.

    Every box has a proposal that overlaps it by 0.6 to 0.95, so the best choice among them is
    right by the usual measure (above 0.5), and a stray is right for none.
    """
    found = [_near(box, rng) for box in boxes] + [_stray(boxes, rng) for _ in range(_STRAYS)]
    return tuple(found[k] for k in rng.permutation(len(found)))


def _near(box: UnitBox, rng: np.random.Generator) -> UnitBox:
    x0, y0, x1, y1 = box
    wide, high = x1 - x0, y1 - y0
    for _ in range(_TRIES):
        a, b, c, d = (0.5 * rng.random(4) - 0.25).tolist()
        moved = _inside((x0 + a * wide, y0 + b * high, x1 + c * wide, y1 + d * high))
        if _NEAR[0] <= overlap(moved, box) <= _NEAR[1]:
            return moved
    return box


def _stray(boxes: Sequence[UnitBox], rng: np.random.Generator) -> UnitBox:
    for _ in range(_TRIES):
        wide, high, u, v = rng.random(4).tolist()
        wide, high = 0.15 + 0.35 * wide, 0.15 + 0.35 * high
        x, y = u * (1 - wide), v * (1 - high)
        stray = _inside((x, y, x + wide, y + high))
        if all(overlap(stray, box) <= _FAR for box in boxes):
            return stray
    return (0.0, 0.0, 0.1, 0.1)  # no thing is as small as that


def _inside(box: UnitBox) -> UnitBox:
    """Cut a box at the picture's edge and round it as scene graphs do."""
    x0, y0, x1, y1 = (round(min(max(value, 0.0), 1.0), 5) for value in box)
    return x0, y0, x1, y1
