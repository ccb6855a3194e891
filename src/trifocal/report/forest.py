"""Points with their intervals, a row a contender, a panel a measure: a forest plot."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib as mpl
from matplotlib.figure import Figure

from trifocal.metrics.intervals import Interval
from trifocal.report import figures

_PAPER = "#ffffff"


@dataclass(frozen=True)
class Panel:
    """One measure of all contenders, in percent.

    Attributes:
        title: What is measured.
        points: One for each contender; None where it has none.
        chance: What guessing scores, a dashed line.
    """

    title: str
    points: Sequence[Interval | None]
    chance: float | None = None


def forest(names: Sequence[str], panels: Sequence[Panel], places: Sequence[int]) -> bytes:
    """Draw named contenders from above, each in the color of its place; return a PNG."""
    with mpl.rc_context({**figures.RC, "figure.facecolor": _PAPER}):
        size = (2.6 + 2.6 * len(panels), 0.9 + 0.3 * len(names))
        figure = Figure(figsize=size, layout="constrained")
        heights = range(len(names), 0, -1)
        every = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axes, panel in zip(every, panels, strict=True):
            axes.grid(alpha=0.25, lw=0.5, color=figures.INK)
            axes.set_axisbelow(True)
            if panel.chance is not None:
                axes.axvline(panel.chance, color=figures.INK, alpha=0.5, lw=0.8, ls=(0, (4, 4)))
            for height, point, place in zip(heights, panel.points, places, strict=True):
                if point is None:
                    continue
                color, marker, _ = figures.style(place)
                axes.hlines(height, point.low, point.high, color=color, lw=1.6)
                axes.scatter(point.value, height, color=color, marker=marker, s=42, zorder=3)
            axes.set_title(panel.title, loc="left")
            axes.set_xlabel("%")
            axes.tick_params(axis="y", length=0)
        every[0].set_yticks(list(heights), names)
        every[0].set_ylim(0.3, len(names) + 0.7)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=130, metadata={"Software": None})
    return buffer.getvalue()
