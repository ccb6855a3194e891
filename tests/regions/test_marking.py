"""Marks, pixel by pixel, and against drawing on the whole picture."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from trifocal.data.boxes import edges
from trifocal.data.regions import Box
from trifocal.errors import UserError
from trifocal.regions.marking import MARKS, box, ellipse, highlight, line_width

GRAY = (128, 128, 128)
RED = (255, 0, 0)
GREEN = (5, 255, 55)
TINT = (158, 99, 146)
BOX = (50, 20, 60, 40)


@pytest.fixture
def gray() -> Image.Image:
    return Image.new("RGB", (200, 100), GRAY)


def noise(size: tuple[int, int], seed: int = 0) -> Image.Image:
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(256, size=(size[1], size[0], 3), dtype=np.uint8))


def test_highlight_tints_the_inside_and_draws_three_pixels_around_it(gray: Image.Image) -> None:
    marked = highlight(gray, [BOX])
    expected = {
        (80, 40): TINT,
        (53, 40): TINT,
        (50, 20): GREEN,
        (52, 40): GREEN,
        (110, 60): GREEN,
        (111, 60): GRAY,
        (49, 40): GRAY,
    }
    assert {place: marked.getpixel(place) for place in expected} == expected


def test_ellipse_is_a_line_and_fills_nothing(gray: Image.Image) -> None:
    marked = ellipse(gray, [BOX])
    expected = {(50, 40): RED, (53, 40): RED, (54, 40): GRAY, (80, 40): GRAY, (50, 20): GRAY}
    assert {place: marked.getpixel(place) for place in expected} == expected


@pytest.mark.parametrize(
    ("width", "line"), [(49, 0), (50, 1), (99, 1), (100, 2), (249, 4), (250, 5), (1920, 5)]
)
def test_line_width_follows_the_picture(width: int, line: int) -> None:
    assert line_width(width) == line
    picture = Image.new("RGB", (width, 60), GRAY)
    for mark in (ellipse, box):
        row = np.asarray(mark(picture, [(10, 10, 30, 40)]))[30, :25]
        assert (row == RED).all(-1).sum() == line


def test_box_keeps_color_inside_only(gray: Image.Image) -> None:
    picture = noise((200, 100))
    marked = np.asarray(box(picture, [BOX]))
    assert tuple(marked[20, 50]) == tuple(marked[60, 110]) == tuple(marked[40, 53]) == RED
    assert (marked[24:57, 54:107] == np.asarray(picture)[24:57, 54:107]).all()
    outside = np.asarray(picture.convert("L"))[:, 120:]
    assert (marked[:, 120:] == outside[..., None]).all()


def test_several_boxes_are_marked_at_once(gray: Image.Image) -> None:
    boxes = [(10, 10, 30, 30), (150, 50, 40, 40)]
    marked = highlight(gray, boxes)
    assert marked.getpixel((25, 25)) == marked.getpixel((170, 70)) == TINT
    assert marked.getpixel((100, 50)) == GRAY
    for place in ((10, 25), (150, 70)):
        assert ellipse(gray, boxes).getpixel(place) == RED
        assert box(gray, boxes).getpixel(place) == RED


def whole_highlight(image: Image.Image, boxes: list[Box]) -> Image.Image:
    """The definition: one transparent layer of the picture's size, composited once."""
    layer = Image.new("RGBA", image.size, (0, 0, 0, 0))
    draw = ImageDraw.Draw(layer)
    for left, top, width, height in boxes:
        draw.rectangle(
            (left, top, left + width, top + height),
            fill=(255, 5, 205, 60),
            outline=(5, 255, 55, 255),
            width=3,
        )
    return Image.alpha_composite(image.convert("RGBA"), layer).convert("RGB")


whole_boxes = st.tuples(
    st.integers(-60, 140), st.integers(-60, 120), st.integers(0, 150), st.integers(0, 150)
)


@given(st.lists(whole_boxes, max_size=4))
def test_highlight_equals_compositing_the_whole_picture(boxes: list[Box]) -> None:
    picture = noise((90, 70))
    assert highlight(picture, boxes) == whole_highlight(picture, boxes)


any_number = st.floats(-1e6, 1e6) | st.floats(-80, 80) | st.just(1e300) | st.just(-1e300)
any_box = st.tuples(any_number, any_number, any_number, any_number)


@pytest.mark.parametrize("name", MARKS)
@given(boxes=st.lists(any_box, max_size=3))
def test_any_finite_box_is_survived(name: str, boxes: list[Box]) -> None:
    picture = noise((60, 40))
    before = picture.copy()
    marked = MARKS[name](picture, boxes)
    assert (marked.size, marked.mode) == ((60, 40), "RGB")
    assert picture == before


def test_a_box_out_of_sight_marks_nothing() -> None:
    picture = noise((60, 40))
    for far in ((100, 100, 20, 20), (-50, -50, 20, 20)):
        assert highlight(picture, [far]) == ellipse(picture, [far]) == picture
    assert highlight(picture, []) == picture


def test_a_box_that_is_not_finite_is_refused() -> None:
    for bad in ((float("nan"), 0, 1, 1), (0, 0, float("inf"), 1), (0, float("-inf"), 1, 1)):
        with pytest.raises(UserError, match="not finite"):
            edges(bad)
