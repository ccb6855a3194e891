"""Boxes in pixels, and proposals that make a perfect scorer right and a stray one wrong."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trifocal.world.boxes import overlap, pixel_box, proposals
from trifocal.world.scene import make_scene


def test_pixels_by_hand():
    assert pixel_box((0.1, 0.2, 0.5, 0.3), 100, 50) == (10, 10, 40, 5)
    assert pixel_box((0.1, 0.1, 0.101, 0.9), 20, 20) == (2, 2, 1, 16)  # never empty


def test_overlap_by_hand():
    assert overlap((0, 0, 0.5, 0.5), (0, 0, 0.5, 0.5)) == 1
    assert overlap((0, 0, 0.5, 0.5), (0.5, 0, 1, 0.5)) == 0
    assert overlap((0, 0, 0.4, 0.4), (0.2, 0, 0.6, 0.4)) == pytest.approx(1 / 3)


@settings(max_examples=150)
@given(index=st.integers(0, 10**6), seed=st.integers(0, 100))
def test_every_box_has_one_proposal_and_strays_have_none(index, seed):
    boxes = [thing.box for thing in make_scene(3, index).things]
    found = proposals(boxes, np.random.default_rng(seed))
    assert len(found) == len(boxes) + 3
    for x0, y0, x1, y1 in found:
        assert 0 <= x0 < x1 <= 1
        assert 0 <= y0 < y1 <= 1
    table = np.array([[overlap(box, proposal) for proposal in found] for box in boxes])
    assert ((table > 0.5).sum(axis=1) == 1).all()
    best = table.max(axis=1)
    assert (best >= 0.6 - 1e-3).all()
    assert (best <= 0.95 + 1e-3).all()
    assert (table.max(axis=0) < 0.5).sum() == 3


def test_the_order_of_proposals_says_nothing():
    boxes = [thing.box for thing in make_scene(0, 0, things=2).things]
    first = [
        overlap(proposals(boxes, np.random.default_rng(seed))[0], boxes[0]) > 0.5
        for seed in range(400)
    ]
    assert np.mean(first) == pytest.approx(1 / 5, abs=0.07)
