"""Figures: markup that is safe, reproducible, and unlike its neighbors on the page."""

from __future__ import annotations

import re
import sys
from functools import cache
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from trifocal.metrics.intervals import Interval
from trifocal.report import figures
from trifocal.report.bars import Bars, bars
from trifocal.report.figures import Series

HOSTILE = "<script>alert(1)</script> $x_1$ & co"
SERIES = [
    Series(HOSTILE, [90.0], [50.0]),
    Series("tuned", [90.0, 89.0, 88.0], [50.0, 60.0, 70.0], (1.0, 2.0), place=1),
]


@cache
def draw_all(round: int = 0) -> dict[str, str]:
    rows = ["swap obj", HOSTILE, "add att"]
    points = [Interval(50, 40, 60), None, Interval(70, 60, 80)]
    models = [Bars("a", points, [None] * 3, 0), Bars("b", points, [50, None, 20], 1)]
    return {
        "trade_off": figures.trade_off(SERIES, "zero-shot, %", "composition, %"),
        "lines": figures.lines(
            [Series("a", [1, 2], [3, 1]), Series("a", [1, 2], [2, 1])], "step", "loss"
        ),
        "bars": bars(rows, models, [50.0, None, 25.0], "acc, %"),
    }


@pytest.mark.parametrize("name", ["trade_off", "lines", "bars"])
def test_figures_are_well_formed_and_escaped(name):
    text = draw_all()[name]
    ElementTree.fromstring(text)
    assert "<script" not in text
    assert "currentColor" in text
    assert figures.INK not in text
    assert "viewBox" in text
    assert not re.search(r"<svg[^>]* (width|height)=", text)
    assert "<metadata" not in text
    assert "http" not in re.sub(r'xmlns(:\w+)?="[^"]*"', "", text)


def test_labels_are_text_as_they_were_given():
    tree = ElementTree.fromstring(draw_all()["trade_off"])
    texts = ["".join(node.itertext()) for node in tree.iter("{http://www.w3.org/2000/svg}text")]
    assert HOSTILE in texts
    assert "zero-shot, %" in texts


def test_equal_figures_are_equal_text():
    assert draw_all() == draw_all(1)


def test_no_two_figures_of_a_page_share_an_id():
    ids = [name for text in draw_all().values() for name in re.findall(r'\bid="([^"]+)"', text)]
    assert len(ids) == len(set(ids))
    for text in draw_all().values():
        own = set(re.findall(r'\bid="([^"]+)"', text))
        assert set(re.findall(r'href="#([^"]+)"', text)) <= own
        assert set(re.findall(r"url\(#([^)]+)\)", text)) <= own


def test_series_keep_their_color_on_every_figure():
    color = figures.style(1)[0]
    for name in ("trade_off", "bars"):
        assert f"var(--series-1, {color})" in draw_all()[name]


def test_pyplot_is_not_used():
    draw_all()
    assert (
        "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()
    )


@pytest.mark.parametrize("size", [(40, 30), (30, 60), (400, 300)])
def test_heat_is_brightest_where_the_weight_is(size):
    gray = Image.new("RGB", size, (128, 128, 128))
    weights = np.zeros((3, 4), dtype=np.float32)
    weights[0, 3] = 0.25
    heat = figures.heat_overlay(gray, weights, size=120)
    assert max(heat.size) == 120
    assert heat.width / heat.height == pytest.approx(size[0] / size[1], rel=0.03)
    brightness = np.asarray(heat.convert("L")).astype(int)
    row, column = np.unravel_index(brightness.argmax(), brightness.shape)
    assert row < heat.height / 3
    assert column >= heat.width * 3 / 4
    assert brightness[-1, 0] < 100 < brightness[row, column]


def test_heat_without_any_weight_is_dark_and_not_an_error():
    heat = figures.heat_overlay(Image.new("RGB", (8, 8)), np.zeros((2, 2)))
    assert np.asarray(heat).max() < 60
