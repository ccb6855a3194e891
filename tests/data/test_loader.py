"""Data order and batches: functions of (seed, epoch, index), whatever reads them."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.data.letters import PREPROCESS, Letters, content, maker, negatives
from trifocal.data.batching import CenterCrop, RandomCrop
from trifocal.data.loader import Order, batches
from trifocal.errors import UserError


@given(count=st.integers(1, 60), size=st.integers(1, 60), seed=st.integers(0, 2**40))
def test_an_epoch_shows_each_sample_at_most_once(count, size, seed):
    if size > count:
        with pytest.raises(UserError, match=f"set batch_size to {count} or less"):
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


def test_a_bad_sample_is_named_and_replaced_by_one_half_an_epoch_away():
    order = Order(24, 4, 7)
    position = 5
    bad = int(order.permutation(0)[position])
    instead = int(order.permutation(0)[position + 12])
    good, mended = maker(24).make(1), maker(24, source=Letters(24, frozenset({bad}))).make(1)
    assert [(item.id, item.reason) for item in mended.skipped] == [(f"photo-{bad}", "broken")]
    assert mended.ids == [good.ids[0], f"photo-{instead}", *good.ids[2:]]
    assert content(mended) == content(maker(24, source=Letters(24, frozenset({bad}))).make(1))


def test_there_are_no_more_workers_than_cores(
    monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0}, raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    read = [content(batch) for batch in batches(maker(8), 0, 2, workers=4)]
    assert read == [content(batch) for batch in batches(maker(8), 0, 2)]
    assert not [one for one in recwarn if "worker" in str(one.message)]


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
    with pytest.raises(UserError, match=r"ended a data worker.* lower workers"):
        list(batches(maker(source=Dying(23)), 0, 2, workers=1))


def test_crops():
    image = Image.fromarray(np.arange(48 * 64 * 3, dtype=np.uint8).reshape(48, 64, 3))
    rng = np.random.default_rng(0)
    assert torch.equal(CenterCrop(PREPROCESS)(image, rng), PREPROCESS(image))
    one, two = (RandomCrop(PREPROCESS, (0.3, 0.5))(image, rng) for _ in range(2))
    assert one.shape == two.shape == (3, 8, 8)
    assert not torch.equal(one, two)
