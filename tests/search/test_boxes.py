"""Windows stay in their grid, and their means are those of the patches under them."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import normalize

from trifocal.search.boxes import pooled_windows, windows


@given(st.integers(1, 24), st.integers(1, 24))
def test_windows_stay_in_their_grid(rows: int, columns: int) -> None:
    found = windows((rows, columns))
    assert (found[:, 0] < found[:, 2]).all()
    assert (found[:, 1] < found[:, 3]).all()
    assert found.min() >= 0
    assert found[:, 2].max() == rows
    assert found[:, 3].max() == columns
    assert [0, 0, rows, columns] in found.tolist()


def test_a_window_is_the_mean_of_its_patches() -> None:
    patches = torch.randn(5, 4, 3, generator=torch.Generator().manual_seed(0))
    places = windows((5, 4))
    for (top, left, bottom, right), made in zip(places, pooled_windows(patches, places)):
        plain = normalize(patches[top:bottom, left:right].mean(dim=(0, 1)), dim=0)
        assert torch.allclose(made, plain, atol=1e-5)
