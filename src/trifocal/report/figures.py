"""Figures for the report: SVG that follows the page's light or dark colors, and heat maps.

matplotlib's object interface on the Agg canvas, without pyplot and so without global figures.
Series have both a color (Okabe and Ito's palette, safe for color-blind readers) and a marker.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

PALETTE = ("#868e96", "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9")
MARKERS = "oXsDvP^"
_TURNS = ("-", (0, (1.2, 1.2)), (0, (4, 1.2, 1.2, 1.2)))  # lines of the same color
INK = "#010203"  # replaced by the page's text color
LARGE = (5.2, 3.7)  # inches; narrow enough to be readable on a phone
SMALL = (3.9, 3.0)
_REM = 6.5  # of a page at most, an inch of a figure
RC: dict[Any, Any] = {
    "svg.fonttype": "none",  # real text: small, searchable, in the page's font
    "text.parse_math": False,  # a "$" in a name is a "$"
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "axes.linewidth": 0.6,
    "font.size": 10.0,
    "axes.titlesize": 10.0,
    "legend.frameon": False,
    "legend.fontsize": 9.0,
}


@dataclass(frozen=True)
class Series:
    """A named line or point."""

    label: str  # its name in the legend
    x: Sequence[float]  # positions
    y: Sequence[float]  # values, as many
    # Half-lengths (x, y) of error bars at the last point, if known.
    spread: tuple[float, float] | None = None
    place: int = 0  # which color and marker it has; a model keeps its own on all figures of a page
    # Lower and upper ends (low, high) of an interval at every point, if known.
    band: tuple[Sequence[float], Sequence[float]] | None = None


def style(place: int) -> tuple[str, str, Any]:
    """Return color, marker and line style of a series.

    A color that comes back has another marker and line; those of the first two series (the base
    and what is featured) do not come back.
    """
    count = len(PALETTE)
    if place < count:
        return PALETTE[place], MARKERS[place], _TURNS[0]
    turn, step = divmod(place - count, count - 2)
    again = 2 + step
    return PALETTE[again], MARKERS[(again + 2 + turn) % count], _TURNS[(1 + turn) % len(_TURNS)]


def trade_off(series: Sequence[Series], x_label: str, y_label: str) -> Markup:
    """Draw what was gained (up) against what it cost (left), in percent; the base comes first.

    The last point of a series is the model itself; points before it are the way there (WiSE-FT).
    """
    with mpl.rc_context(RC):
        figure, axes = new_axes()
        base_x, base_y = series[0].x[-1], series[0].y[-1]
        axes.axvline(base_x, color=INK, alpha=0.35, lw=0.8, ls=(0, (4, 4)), zorder=0)
        axes.axhline(base_y, color=INK, alpha=0.35, lw=0.8, ls=(0, (4, 4)), zorder=0)
        for line in series:
            color, _, _ = style(line.place)
            if len(line.x) > 1:
                axes.plot(line.x, line.y, color=color, lw=1.4, marker=".", ms=5, alpha=0.75)
            if line.spread is not None and any(line.spread):
                wide, high = line.spread
                axes.errorbar(line.x[-1], line.y[-1], high, wide, color=color, lw=1, capsize=2)
            mark(axes, line, line.x[-1], line.y[-1], s=75, linewidths=0.8, zorder=3)
        axes.set(xlabel=x_label, ylabel=y_label)
        axes.margins(0.12)
        _note(axes, "better", (0.985, 0.97), ha="right", va="top")
        add_legend(figure, axes)
        return to_svg(figure, f"trade-off {x_label} {y_label}")


def lines(series: Sequence[Series], x_label: str, y_label: str) -> Markup:
    """Draw lines in a small figure; series of one label are named once."""
    with mpl.rc_context(RC):
        figure, axes = new_axes(SMALL)
        for line in series:
            axes.plot(line.x, line.y, color=style(line.place)[0], lw=1.4, label=line.label)
        axes.set(xlabel=x_label, ylabel=y_label)
        axes.margins(x=0.02)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))  # steps and counts
        add_legend(figure, axes)
        return to_svg(figure, f"lines {x_label} {y_label}")


def new_axes(size: tuple[float, float] = LARGE) -> tuple[Figure, Axes]:
    """Return a figure of a size in inches, and its axes with a faint grid."""
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    axes.grid(alpha=0.25, lw=0.5, color=INK)
    axes.set_axisbelow(True)
    return figure, axes


def new_rows(names: Sequence[str], x_label: str, high: float) -> tuple[Figure, Axes, np.ndarray]:
    """Return a figure so many inches high, its axes, and the heights of named rows, from above."""
    figure, axes = new_axes((LARGE[0], high))
    places = np.arange(len(names))[::-1]
    axes.set_yticks(places, names)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.set_xlabel(x_label)
    return figure, axes, places


def mark(axes: Axes, line: Series, x: Any, y: Any, **options: Any) -> None:
    """Draw the marker of a series at some points, rimmed in white; it names the series."""
    color, marker, _ = style(line.place)
    axes.scatter(x, y, color=color, marker=marker, label=line.label, edgecolors="white", **options)


def _note(axes: Axes, text: str, at: tuple[float, float], *, ha: str, va: str) -> None:
    place = axes.transAxes
    axes.text(*at, text, transform=place, ha=ha, va=va, fontsize=8.5, alpha=0.6, style="italic")


def add_legend(figure: Figure, axes: Axes) -> None:
    """Name each label once, above the axes, where it covers nothing."""
    handles, labels = axes.get_legend_handles_labels()
    named = dict(zip(reversed(labels), reversed(handles), strict=True))
    names = list(dict.fromkeys(labels))
    wide = sum(len(name) + 5 for name in names) > 10 * figure.get_figwidth()
    figure.legend(
        [named[name] for name in names],
        names,
        loc="outside upper left",
        ncols=2 if wide else len(names),
        handletextpad=0.5,
        columnspacing=1.4,
    )


def to_svg(figure: Figure, name: str) -> Markup:
    """Return a figure as SVG to stand inside a page; equal figures give equal text.

    The name distinguishes the ids in this figure from those in others on the page.
    """
    buffer = io.StringIO()
    salt = hashlib.sha256(name.encode()).hexdigest()[:8]
    with mpl.rc_context({"svg.hashsalt": salt}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    wide = figure.get_figwidth()
    figure.clear()
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    # As wide as there is room, but with letters no larger than those of the page.
    limit = rf'\1 style="max-width: {_REM * wide:.1f}rem"'
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', limit, text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    text = re.sub(r"(font: [^;'\"]*?px) [^;\"]*", r"\1 system-ui, sans-serif", text)
    # Ids such as "figure_1" are the same in every file.
    text = re.sub(r'id="([\w.]+_\d+)"', rf'id="{salt}-\1"', text)
    text = text.replace(f"'{INK}'", "'currentColor'").replace(INK, "currentColor")
    for place, color in enumerate(PALETTE):  # the page has lighter ones for a dark screen
        text = re.sub(rf"(: ){color}", rf"\1var(--series-{place}, {color})", text)
    return Markup(text)  # matplotlib has escaped every label


def heat_overlay(picture: Image.Image, weights: np.ndarray, *, size: int = 160) -> Image.Image:
    """Lay a heat map over a picture, of the aspect ratio that the patches cover; return an RGB one.

    Weights are (rows, columns), not negative; the highest patch is brightest, however small its
    weight. The longer side of the result is `size` pixels.
    """
    scale = size / max(picture.size)
    shape = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    picture = picture.convert("RGB").resize(shape, Image.Resampling.LANCZOS)
    weights = np.asarray(weights, dtype=np.float32)
    peak = float(weights.max())
    relative = weights / peak if peak > 0 else weights
    smooth = Image.fromarray(relative).resize(shape, Image.Resampling.BICUBIC)
    heat = np.clip(np.asarray(smooth), 0, 1)
    color = mpl.colormaps["inferno"](heat)[..., :3]
    alpha = (0.5 + 0.2 * heat)[..., None]
    # Gray, so that every color in the result is heat.
    base = np.asarray(picture.convert("L"), dtype=np.float32)[..., None] / 255
    mixed = base * (1 - alpha) + color * alpha
    return Image.fromarray((255 * mixed).round().clip(0, 255).astype(np.uint8))
