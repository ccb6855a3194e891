"""Data order and batches: functions of (seed, epoch, index), whatever reads them."""

from __future__ import annotations

import dataclasses
import os
import signal

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from trifocal.clip.embeddings import TextBatch
from trifocal.clip.preprocess import Preprocess
from trifocal.data.batching import CaptionBatching, CenterCrop, RandomCrop
from trifocal.data.images import BadImage
from trifocal.data.loader import BatchMaker, Order, batches
from trifocal.data.samples import Sample
from trifocal.errors import UserError

PREPROCESS = Preprocess(size=(8, 8))


def tokenize(texts: list[str]) -> TextBatch:
    """One id a letter, padded well beyond the longest text."""
    lengths = [len(text) + 2 for text in texts]
    ids = torch.zeros(len(texts), max(lengths) + 5, dtype=torch.long)
    for row, text in enumerate(texts):
        ids[row, : lengths[row]] = torch.tensor([1, *map(ord, text), 2])
    return TextBatch(ids, torch.tensor(lengths))


class Letters:
    """Samples whose caption and picture depend on their index and on their generator."""

    def __init__(self, count: int, bad: frozenset[int] = frozenset(), written: bool = False):
        self.count, self.bad, self.written = count, bad, written

    def __len__(self) -> int:
        return self.count

    def sample(self, index: int, rng: np.random.Generator) -> Sample:
        draw = int(rng.integers(1000))
        if index in self.bad:
            raise BadImage(f"photo-{index}", "broken")
        pixels = np.full((12, 16, 3), index % 256, dtype=np.uint8)
        pixels[:, :, 1] = np.arange(16)
        negatives = (f"w{index}a", f"w{index}b") if self.written and index % 2 else ()
        return Sample(f"photo-{index}", Image.fromarray(pixels), f"c{index}-{draw}", negatives)


def negatives(caption: str, rng: np.random.Generator) -> dict[str, str | None]:
    """No swap for captions of even length; a drawn number tells which generator was used."""
    swap = None if len(caption) % 2 else f"swap {caption} {rng.integers(1000)}"
    return {"swap": swap, "shuffle": f"shuffle {caption} {rng.integers(1000)}"}


def maker(count=23, size=4, seed=7, source=None, **options) -> BatchMaker:
    options.setdefault("transform", RandomCrop(PREPROCESS))
    place = {key: options.pop(key) for key in ("rank", "processes") if key in options}
    batching = CaptionBatching(tokenize, **options)
    return BatchMaker(source or Letters(count), Order(count, size, seed), batching, **place)


def content(batch) -> dict:
    values = {f.name: getattr(batch, f.name) for f in dataclasses.fields(batch)}
    values["text"] = (batch.text.ids.tolist(), batch.text.lengths.tolist())
    return {k: v.tolist() if isinstance(v, torch.Tensor) else v for k, v in values.items()}


@given(count=st.integers(1, 60), size=st.integers(1, 60), seed=st.integers(0, 2**40))
def test_an_epoch_shows_each_sample_at_most_once(count, size, seed):
    if size > count:
        with pytest.raises(UserError, match=f"--batch_size {count} or less"):
            Order(count, size, seed)
        return
    order = Order(count, size, seed)
    assert order.batches == count // size
    assert sorted(order.permutation(3)) == list(range(count))


def test_epochs_and_seeds_differ_and_repeat():
    first = Order(50, 5, 0)
    assert (first.permutation(0) == Order(50, 10, 0).permutation(0)).all()
    assert (first.permutation(0) != first.permutation(1)).any()
    assert (first.permutation(0) != Order(50, 5, 1).permutation(0)).any()
    draws = {first.generator(e, i).integers(1 << 60) for e in range(5) for i in range(5)}
    assert len(draws) == 25


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_do_not_depend_on_workers_or_on_where_one_starts(workers):
    options = {"negatives": negatives, "kinds": ("swap", "shuffle")}
    plain = [content(maker(**options).make(number)) for number in range(12)]
    read = [content(b) for b in batches(maker(**options), 3, 12, workers=workers)]
    assert read == plain[3:]
    assert plain[0]["ids"] != plain[5]["ids"]


def test_two_processes_see_what_one_does():
    whole = maker(size=6).make(2)
    parts = [maker(size=6, rank=rank, processes=2).make(2) for rank in range(2)]
    assert whole.ids == parts[0].ids + parts[1].ids
    assert whole.captions == parts[0].captions + parts[1].captions
    assert torch.equal(whole.pixels, torch.cat([part.pixels for part in parts]))
    with pytest.raises(UserError, match="a multiple of 4"):
        maker(size=6, processes=4)


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


def test_a_bad_sample_is_named_and_replaced_by_one_half_an_epoch_away():
    order = Order(24, 4, 7)
    position = 5
    bad = int(order.permutation(0)[position])
    instead = int(order.permutation(0)[position + 12])
    good, mended = maker(24).make(1), maker(24, source=Letters(24, frozenset({bad}))).make(1)
    assert [(item.id, item.reason) for item in mended.skipped] == [(f"photo-{bad}", "broken")]
    assert mended.ids == [good.ids[0], f"photo-{instead}", *good.ids[2:]]
    assert content(mended) == content(maker(24, source=Letters(24, frozenset({bad}))).make(1))


@pytest.mark.parametrize("workers", [0, 1])
def test_when_nothing_can_be_read_the_message_is_one_sentence(workers):
    source = Letters(8, frozenset(range(8)))
    with pytest.raises(UserError, match=r"^8 pictures in a row could not be read, the last one"):
        list(batches(maker(8, source=source), 0, 2, workers=workers))


class Dying(Letters):
    """Ends the worker that reads it, as a system without memory would."""

    def sample(self, index, rng):
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


def test_a_worker_that_is_killed_is_explained():
    with pytest.raises(UserError, match=r"ended a data worker.* lower --workers"):
        list(batches(maker(source=Dying(23)), 0, 2, workers=1))


def test_crops():
    image = Image.fromarray(np.arange(48 * 64 * 3, dtype=np.uint8).reshape(48, 64, 3))
    rng = np.random.default_rng(0)
    assert torch.equal(CenterCrop(PREPROCESS)(image, rng), PREPROCESS(image))
    one, two = (RandomCrop(PREPROCESS, (0.3, 0.5))(image, rng) for _ in range(2))
    assert one.shape == two.shape == (3, 8, 8)
    assert not torch.equal(one, two)


def test_a_source_of_pil_images_needs_a_transform():
    with pytest.raises(ValueError, match="transform"):
        maker(transform=None).make(0)
