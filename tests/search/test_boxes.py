"""Windows stay in their grid, and their means are those of the patches under them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from trifocal.search.boxes import best_window, windows


@given(st.integers(1, 24), st.integers(1, 24))
def test_windows_stay_in_their_grid(rows: int, columns: int) -> None:
    found = windows((rows, columns))
    assert (found[:, 0] < found[:, 2]).all()
    assert (found[:, 1] < found[:, 3]).all()
    assert found.min() >= 0
    assert found[:, 2].max() == rows
    assert found[:, 3].max() == columns
    assert [0, 0, rows, columns] in found.tolist()


@given(arrays(np.float64, (6, 5), elements=st.floats(-1, 1)))
def test_the_best_window_stands_out_most(values: np.ndarray) -> None:
    fits = torch.from_numpy(values)
    (top, left, bottom, right), score = best_window(fits)
    assert score == pytest.approx(fits[top:bottom, left:right].mean().item(), abs=1e-9)
    above = fits - fits.mean()
    best = above[top:bottom, left:right].sum()
    assert all(above[a:c, b:d].sum() <= best + 1e-9 for a, b, c, d in windows((6, 5)))


def test_a_bright_place_is_framed() -> None:
    fits = torch.zeros(10, 10)
    fits[2:6, 4:8] = 1
    (top, left, bottom, right), score = best_window(fits)
    assert (top, left, bottom, right) == (2, 4, 6, 8)
    assert score == 1
