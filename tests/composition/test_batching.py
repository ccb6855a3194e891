"""Batches of captions: which negatives stand where, and where they come from."""

from __future__ import annotations

import pytest
import torch

from tests.data.letters import Letters, maker, negatives


def test_negatives_stand_kind_by_kind_and_change_nothing_else():
    plain = maker(size=8).make(0)
    batch = maker(size=8, negatives=negatives, kinds=("swap", "shuffle")).make(0)
    assert torch.equal(plain.pixels, batch.pixels)
    assert plain.captions == batch.captions
    with_swap = [i for i, caption in enumerate(batch.captions) if len(caption) % 2 == 0]
    assert 0 < len(with_swap) < 8
    assert batch.owner.tolist() == [*with_swap, *range(8)]
    assert batch.kind.tolist() == [0] * len(with_swap) + [1] * 8
    for owner, kind, text in zip(batch.owner, batch.kind, batch.negatives):
        assert text.startswith(f"{['swap', 'shuffle'][kind]} {batch.captions[owner]} ")
    assert len(batch.text) == 8 + len(batch.negatives)
    assert batch.text.ids.shape[1] == int(batch.text.lengths.max())
    assert batch.size == 8
    assert batch.to("cpu").captions == batch.captions


def test_a_batch_without_negatives_has_empty_owners():
    batch = maker().make(0)
    assert batch.owner.shape == batch.kind.shape == (0,)
    assert batch.owner.dtype == torch.long
    with pytest.raises(ValueError, match="nothing makes them"):
        maker(kinds=("swap",))


def test_written_negatives_are_drawn_from_their_table():
    source = Letters(40, written=True)
    made = [maker(40, 8, source=source, kinds=("table",)).make(n) for n in range(20)]
    pairs = {(b.ids[o], text) for b in made for o, text in zip(b.owner.tolist(), b.negatives)}
    assert {text[-1] for _, text in pairs} == {"a", "b"}
    assert all(id.split("-")[1] == text[1:-1] for id, text in pairs)
    assert all(int(id.split("-")[1]) % 2 for id, _ in pairs)


def test_a_source_of_pil_images_needs_a_transform():
    with pytest.raises(ValueError, match="transform"):
        maker(transform=None).make(0)
