"""Cells find nearly what looking at all rows finds, with the same scores."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import normalize

from trifocal.errors import UserError
from trifocal.search.nearest import Cells, build_cells, cell_count, exact_scores


def rows(count: int, width: int = 16) -> torch.Tensor:
    """Return unit rows around a few centers."""
    made = torch.Generator().manual_seed(3)
    centers = torch.randn(12, width, generator=made)
    which = torch.randint(12, (count,), generator=made)
    return normalize(centers[which] + 0.3 * torch.randn(count, width, generator=made), dim=1)


def test_cells_find_what_all_rows_hold(tmp_path: Path) -> None:
    pytest.importorskip("faiss")
    whole = rows(3000).half()
    build_cells(whole, tmp_path / "cells.faiss", lambda _: None)
    cells = Cells(tmp_path / "cells.faiss", whole)
    found = 0
    for query in rows(40)[20:]:
        scores, places = cells.nearest(query, 10)
        assert torch.equal(scores, scores.sort(descending=True).values)
        assert torch.allclose(scores, exact_scores(whole, query)[places], atol=1e-6)
        best = exact_scores(whole, query).topk(10).indices
        found += len({*best.tolist()} & {*places.tolist()})
    assert found > 0.95 * 200
    with pytest.raises(UserError, match="another index"):
        Cells(tmp_path / "cells.faiss", whole[:-1])


@given(st.integers(0, 10**8))
def test_cells_grow_with_the_root(count: int) -> None:
    assert 16 <= cell_count(count) <= max(16, 2 * count**0.5)


def test_half_precision_scores_alike() -> None:
    whole = rows(50)
    assert torch.allclose(exact_scores(whole.half(), whole[3]), whole @ whole[3], atol=2e-3)
