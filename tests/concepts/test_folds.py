"""Folds of the support."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from trifocal.concepts.folds import MOST, fold_numbers


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(0, 5))
def test_every_picture_is_held_out_once_and_every_class_keeps_one(
    counts: list[int], seed: int
) -> None:
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    labels = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(9))]
    folds = fold_numbers(labels, seed)
    for label, count in enumerate(counts):
        mine = folds[labels == label]
        if count == 1:
            assert mine.tolist() == [-1]
            continue
        held = torch.bincount(mine, minlength=MOST)
        assert int(held.max()) < count
        used = held[: min(MOST, max(counts))]
        assert int(used.max()) - int(used.min()) <= 1
    assert torch.equal(folds, fold_numbers(labels, seed))
