"""The figures of few-shot papers: accuracy over shots, and gains data set by data set.

Shots double from tick to tick, as in every paper since CoOp (Zhou et al., IJCV 2022, arXiv
2109.01134, Fig. 3). Zero-shot CLIP sees no shots and is a dashed line.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from trifocal.report import figures
from trifocal.report.figures import Series

FLAT, FEATURED = 0, 1  # places of zero-shot, a dashed line, and of what is drawn in front
MANY = 8  # more methods than these would lie below their legend and intervals
_DASHES = (0, (5, 3))
_BAR = 0.62


def over_shots(
    series: Sequence[Series],
    *,
    title: str = "",
    small: bool = False,
    legend: bool = True,
    bands: bool = True,
) -> Markup:
    """Draw accuracy over the number of shots (`x`), in percent, a line a method.

    `small` figures are panels beside others, and without `bands` the featured line alone has its
    intervals.
    """
    with mpl.rc_context(figures.RC):
        figure, axes = figures.new_axes(figures.SMALL if small else figures.LARGE)
        shots = sorted({x for line in series for x in line.x})
        for line in series:
            featured = line.place == FEATURED
            axes.plot(line.x, line.y, label=line.label, zorder=3 + featured, **_look(line.place))
            wanted = featured or (bands and line.place != FLAT)
            if line.band is not None and wanted:
                color, _, _ = figures.style(line.place)
                axes.fill_between(line.x, *line.band, color=color, alpha=0.14, lw=0, zorder=1)
        axes.set_xscale("log", base=2)
        axes.set_xticks(shots, [f"{count:g}" for count in shots])
        axes.minorticks_off()
        axes.set(xlabel="shots a class", ylabel="accuracy, %")
        axes.margins(x=0.05)
        axes.set_title(title, loc="left", fontweight="bold")
        if legend:
            figures.add_legend(figure, axes)
        return figures.to_svg(figure, f"over shots {title}")


def _look(place: int) -> dict[str, Any]:
    color, marker, line = figures.style(place)
    featured, flat = place == FEATURED, place == FLAT
    return {
        "color": color,
        "marker": None if flat else marker,
        "ls": _DASHES if flat else line,
        "lw": 2.4 if featured else 1.4,
        "ms": 8 if featured else 6.5,
        "markeredgecolor": "white",
        "markeredgewidth": 0.6,
    }


def legend_alone(series: Sequence[Series], *, small: bool = False) -> Markup:
    """Draw a legend by itself, as large as the figure that it is of."""
    with mpl.rc_context(figures.RC):
        figure = Figure(figsize=figures.SMALL if small else figures.LARGE)
        figure.legend(
            [Line2D([], [], **_look(line.place)) for line in series],
            [line.label for line in series],
            loc="center left",
            bbox_to_anchor=(0.06, 0.5),
            fontsize=11,
            labelspacing=0.7,
            ncols=2 if len(series) > MANY else 1,
        )
        return figures.to_svg(figure, f"legend {small} " + " ".join(line.label for line in series))


def gains(names: Sequence[str], featured: Series, others: Sequence[Series], x_label: str) -> Markup:
    """Draw what a method gains on data sets (`x`, points) as bars, and what others gain as marks.

    Data sets go from top to bottom; `x_label` says what is gained over what.
    """
    with mpl.rc_context(figures.RC):
        figure, axes, places = figures.new_rows(names, x_label, 1.2 + 0.36 * len(names))
        color, _, _ = figures.style(featured.place)
        values = np.array(featured.x, dtype=float)
        axes.barh(places, values, _BAR, color=color, alpha=0.45, label=featured.label, zorder=2)
        if featured.band is not None:
            low, high = (np.array(end, dtype=float) for end in featured.band)
            axes.hlines(places, low, high, color=figures.INK, lw=1.1, zorder=4)
        for line in others:
            figures.mark(axes, line, line.x, places, s=55, linewidths=0.7, zorder=5)
        axes.axvline(0, color=figures.INK, lw=0.9, zorder=3)
        axes.grid(visible=False, axis="y")
        axes.margins(x=0.08)
        figures.add_legend(figure, axes)
        return figures.to_svg(figure, f"gains {x_label}")
