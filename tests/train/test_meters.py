"""Means between log lines, and the share of unreadable pictures."""

from __future__ import annotations

import pytest
import torch

from trifocal.clip.embeddings import TextBatch
from trifocal.data.samples import Skipped
from trifocal.errors import UserError
from trifocal.train.meters import BadSamples, CutTexts, Window


def test_window_means(monkeypatch):
    clock = iter([0.0, 10.0, 10.0, 14.0, 14.0])
    monkeypatch.setattr("trifocal.train.meters.time.perf_counter", lambda: next(clock))
    window = Window()
    window.add({"loss": 1.0}, samples=4, waited=0.5)
    window.add({"loss": 3.0}, samples=4, waited=1.5)
    window.pause(2.0)
    assert window.take() == {"loss": 2.0, "samples_per_second": 1.0, "waiting": 0.25}
    window.add({"loss": 5.0}, samples=8, waited=0.0)
    assert window.take() == {"loss": 5.0, "samples_per_second": 2.0, "waiting": 0.0}


def bad(*names):
    return [Skipped(name, "broken") for name in names]


def test_each_bad_sample_counts_once():
    known = BadSamples(0.05, 1000, {"a": "broken"})
    assert [item.id for item in known.add(bad("a", "b", "b"))] == ["b"]
    assert list(known.reasons) == ["a", "b"]


@pytest.mark.parametrize(
    ("count", "names", "drawn", "fails"),
    [
        (1000, 1, 20, False),  # one in twenty may be chance
        (1000, 10, 20, True),  # half of them is not
        (1000, 10, 19, False),  # too few seen to say
        (1000, 50, 1000, False),  # exactly the share
        (1000, 51, 1000, True),  # over it for sure
        (1000, 51, 100_000, True),
        (20, 1, 20, False),
        (20, 2, 20, True),
    ],
)
def test_too_many(count, names, drawn, fails):
    account = BadSamples(0.05, count)
    account.add(bad(*map(str, range(names))))
    if fails:
        with pytest.raises(
            UserError, match=r"data.bad_image_share allows; the first is 0 \(broken\)"
        ):
            account.check(drawn)
    else:
        account.check(drawn)


def test_none_allowed_and_none_found():
    BadSamples(0.0, 10).check(100)
    account = BadSamples(0.0, 10)
    account.add(bad("x"))
    with pytest.raises(UserError, match="1 of 8 pictures"):
        account.check(8)


def test_texts_that_were_cut_are_counted():
    account = CutTexts()
    ids, lengths = torch.zeros(3, 4, dtype=torch.long), torch.tensor([4, 4, 3])
    account.add(TextBatch(ids, lengths, 4, torch.tensor([True, True, False])).trimmed())
    account.add(TextBatch(ids, lengths))  # of a tokenizer that does not tell
    assert str(account).startswith("2 of 6 texts that were learned from are longer")
