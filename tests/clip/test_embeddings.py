"""TextBatch: the mask goes by position, trimming loses nothing; groups of like length."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from trifocal.clip import TextBatch
from trifocal.clip.embeddings import length_groups


def test_mask_of_the_published_example() -> None:
    # FSC-CLIP (arXiv 2410.05210): SOT and padding are dropped, content and EOT kept.
    batch = TextBatch(torch.tensor([[49406, 320, 1929, 49407, 0, 0]]), torch.tensor([4]))
    assert batch.mask.int().tolist() == [[0, 1, 1, 1, 0, 0]]


def test_mask_does_not_look_at_ids() -> None:
    # Id 0 is a real word piece ("!"), and padding may be any id, even EOT's.
    ids = torch.tensor([[5, 0, 0, 6, 6, 6], [5, 6, 0, 0, 0, 0]])
    batch = TextBatch(ids, torch.tensor([4, 2]))
    assert batch.mask.int().tolist() == [[0, 1, 1, 1, 0, 0], [0, 1, 0, 0, 0, 0]]


@given(st.lists(st.integers(2, 12), min_size=1, max_size=6), st.integers(0, 5))
def test_trimming_keeps_every_text(lengths: list[int], extra: int) -> None:
    width = max(lengths) + extra
    ids = torch.zeros(len(lengths), width, dtype=torch.long)
    for row, length in enumerate(lengths):
        ids[row, :length] = torch.arange(1, length + 1)
    batch = TextBatch(ids, torch.tensor(lengths))
    trimmed = batch.trimmed()
    assert trimmed.ids.shape[1] == max(lengths)
    assert trimmed.ids.sum() == ids.sum()
    assert trimmed.mask.sum(1).tolist() == [length - 1 for length in lengths]
    assert batch.mask.sum() == trimmed.mask.sum()


def test_rows_keep_the_width_and_forget_the_longest() -> None:
    batch = TextBatch(torch.arange(12).view(3, 4), torch.tensor([4, 2, 3]), longest=4)
    some = batch.rows([1, 2])
    assert some.ids.shape == (2, 4)
    assert some.trimmed().ids.shape == (2, 3)
    assert batch.rows(slice(0, 1)).trimmed().ids.tolist() == [[0, 1, 2, 3]]
    assert len(batch.to("cpu")) == 3
    assert batch.to("cpu").longest == 4


def _padded(lengths: torch.Tensor) -> int:
    return int(lengths.max()) * len(lengths)


def test_groups_by_hand() -> None:
    # Uncut 80 positions; one cut at the long text leaves 20 + 3 * 4.
    groups = length_groups(torch.tensor([4, 20, 3, 4]))
    assert [group.tolist() for group in groups] == [[1], [0, 3, 2]]
    assert len(length_groups(torch.tensor([7, 7, 7]))) == 1
    assert len(length_groups(torch.tensor([10, 10, 10, 9]))) == 1  # one position is not worth it
    assert length_groups(torch.tensor([], dtype=torch.long))[0].tolist() == []


@given(st.lists(st.integers(2, 77), min_size=1, max_size=60))
def test_groups_hold_every_text_and_spare_what_they_promise(sizes: list[int]) -> None:
    lengths = torch.tensor(sizes)
    groups = length_groups(lengths, worth=0.1)
    assert sorted(torch.cat(groups).tolist()) == list(range(len(sizes)))
    whole = _padded(lengths)
    left = sum(_padded(lengths[group]) for group in groups)
    assert left <= whole * (1 - 0.1 * (len(groups) - 1))
    longest = [int(lengths[group].max()) for group in groups]
    assert longest == sorted(longest, reverse=True)
