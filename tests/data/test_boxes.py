"""Boxes: read, checked, clipped, compared, and wrong ones drawn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trifocal.data.boxes import check_box, clip_box, iou, parse_box, wrong_region
from trifocal.data.regions import Box
from trifocal.errors import UserError

number = st.integers(-200, 200) | st.floats(-1e4, 1e4)
any_box = st.tuples(number, number, number, number)


def test_clipping() -> None:
    size = (100, 50)
    assert clip_box((10, 20, 30, 10), size) == (10, 20, 30, 10)
    assert clip_box((-10, -20, 30, 40), size) == (0, 0, 20, 20)
    assert clip_box((90, 40, 30, 40), size) == (90, 40, 10, 10)
    assert clip_box((10, 20, 1, 1), size) == (10, 20, 2, 2)
    assert clip_box((99, 49, 1, 1), size) == (98, 48, 2, 2)
    assert clip_box((300, -70, 5, 5), size) == (98, 0, 2, 2)
    assert clip_box((10, 20, -5, 0), size) == (9, 19, 2, 2)
    assert clip_box((10.4, 20.6, 30.2, 9.8), size) == (10, 21, 31, 9)
    assert clip_box((0, 0, 9, 9), (1, 1)) == (0, 0, 1, 1)


def test_iou() -> None:
    assert iou((0, 0, 10, 10), (0, 0, 10, 20)) == 0.5
    assert iou((0, 0, 10, 10), (5, 0, 10, 10)) == pytest.approx(1 / 3)
    assert iou((0, 0, 10, 10), (20, 0, 10, 10)) == 0
    assert iou((0, 0, 0, 0), (0, 0, 0, 0)) == 0


def test_a_wrong_region_is_a_proposal_where_one_is_wrong_enough() -> None:
    rng = np.random.default_rng(0)
    true = ((10, 10, 40, 40),)
    proposals = ((12, 12, 40, 40), (60, 10, 30, 30), (10, 10, 40, 90))
    drawn = {wrong_region(true, proposals, (120, 100), rng) for _ in range(50)}
    assert drawn == {proposals[1], proposals[2]}
    # In a lower picture the last one shows little more than the region.
    assert {wrong_region(true, proposals, (120, 80), rng) for _ in range(50)} == {proposals[1]}


@given(st.lists(any_box, min_size=1, max_size=3), st.integers(0, 1000))
def test_a_drawn_wrong_region_lies_inside_and_overlaps_little(boxes: list[Box], seed: int) -> None:
    box = wrong_region(boxes, boxes[:0], (90, 60), np.random.default_rng(seed))
    assert all(iou(box, clip_box(true, (90, 60))) < 0.5 for true in boxes)
    assert clip_box(box, (90, 60)) == box


def test_a_wrong_region_always_ends() -> None:
    rng = np.random.default_rng(0)
    assert wrong_region([(0, 0, 1, 1)], [(0, 0, 1, 1)], (1, 1), rng) == (0, 0, 1, 1)
    assert wrong_region([(0, 0, 2, 2)], (), (2, 2), rng) == (0, 0, 2, 2)


def test_boxes_are_read_from_text() -> None:
    assert parse_box("40,60,120,80") == (40, 60, 120, 80)
    assert parse_box(" 1.5, 2 ,3,4 ") == (1.5, 2, 3, 4)
    for text in ("", "1,2,3", "1,2,3,4,5", "a,b,c,d", "1 2 3 4"):
        with pytest.raises(UserError, match="give X,Y,W,H"):
            parse_box(text)


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ((100, 0, 10, 10), "outside the picture of 100x50"),
        ((0, -20, 10, 20), "outside the picture"),
        ((0, 0, 0, 10), "has no area"),
        ((0, 0, 10, -1), "has no area"),
        ((float("nan"), 0, 1, 1), "not finite"),
        ((0, 0, float("inf"), 1), "not finite"),
    ],
)
def test_senseless_boxes_are_refused(box: Box, message: str) -> None:
    with pytest.raises(UserError, match=message):
        check_box(box, (100, 50))


def test_sensible_boxes_pass() -> None:
    for box in ((0, 0, 100, 50), (-5, -5, 10, 10), (99, 49, 30, 30)):
        assert check_box(box, (100, 50)) == box
