"""The WiSE-FT curve: what is gained and what it costs on the way from the base to the tuned model.

Wortsman et al., CVPR 2022 (arXiv 2109.01903): models on the straight line between two sets of
weights often gain most of what tuning gives and lose little of what it costs. FSC-CLIP (Oh et al.,
EMNLP 2024, arXiv 2410.05210) draws this line from 0 to 1 in steps of 0.1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from trifocal.errors import UserError
from trifocal.metrics.benchmark import find
from trifocal.metrics.result import Result

DEFAULT_ALPHAS = tuple(step / 10 for step in range(11))


@dataclass(frozen=True)
class CurvePoint:
    """The results of one model on the line: 0 is the base, 1 the tuned model."""

    alpha: float
    rows: tuple[Result, ...]

    def value(self, benchmark: str, task: str, metric: str) -> float:
        """Return the value of one measure.

        Raises:
            UserError: It was not measured.
        """
        return find(self.rows, benchmark, task, metric).value


def parse_alphas(text: str) -> tuple[float, ...]:
    """Read positions on the line: "0,0.5,1", or "0,0.1,...,1" for even steps.

    Raises:
        UserError: Not numbers between 0 and 1 in increasing order.
    """
    parts = [part.strip() for part in text.replace("…", "...").split(",") if part.strip()]
    try:
        if "..." in parts:
            at = parts.index("...")
            first, second, last = (float(parts[i]) for i in (at - 2, at - 1, at + 1))
            if at != 2 or len(parts) != 4 or second <= first or last < second:
                raise ValueError("write even steps as first,second,...,last")
            steps = round((last - first) / (second - first))
            values = [first + (last - first) * step / steps for step in range(steps + 1)]
            values = [round(value, 10) for value in values]
        else:
            values = [float(part) for part in parts]
    except (ValueError, IndexError) as error:
        raise UserError(
            f"cannot read the interpolation positions {text!r}; write e.g. 0,0.5,1 or 0,0.1,...,1"
        ) from error
    increasing = all(a < b for a, b in pairwise(values))
    if not values or not increasing or values[0] < 0 or values[-1] > 1:
        raise UserError(
            f"the interpolation positions {text!r} must lie between 0 and 1 and increase"
        )
    return tuple(values)


def wise_ft_curve(
    model_at: Callable[[float], Any],
    measure: Callable[[Any], Sequence[Result]],
    alphas: Sequence[float] = DEFAULT_ALPHAS,
) -> list[CurvePoint]:
    """Measure models along the line, one at a time, at positions from 0 (base) to 1 (tuned).

    A model is let go before the next is asked for.
    """
    return [CurvePoint(float(alpha), tuple(measure(model_at(alpha)))) for alpha in alphas]
