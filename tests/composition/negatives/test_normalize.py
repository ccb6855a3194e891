"""Balanced writing of positives and negatives."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trifocal.composition.negatives import HardNegatives, normalize_caption


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("A Dog.", "a dog"),
        ("  A dog \n runs !!!", "a dog runs"),
        ("a dog . runs", "a dog . runs"),
        ("U.S.", "u.s"),
        ("...", "..."),
        ("", ""),
    ],
)
def test_examples(caption: str, expected: str) -> None:
    assert normalize_caption(caption) == expected


@settings(deadline=None)
@given(st.text(max_size=40))
def test_idempotent(caption: str) -> None:
    once = normalize_caption(caption)
    assert normalize_caption(once) == once


def test_negatives_have_no_capitals_and_no_stray_stop() -> None:
    hn = HardNegatives(("swap", "shuffle"), parser="textblob", normalize=True)
    caption = "The small blue van is parked in front of a White fence."
    assert hn.prepare_caption(caption) == caption.lower().rstrip(".")
    for _ in range(30):
        for negative in hn(caption).values():
            assert negative is not None
            assert negative == negative.lower()
            assert "." not in negative
            assert negative != hn.prepare_caption(caption)


def test_default_leaves_captions_alone() -> None:
    hn = HardNegatives(("swap",), parser="textblob")
    assert hn.prepare_caption("A Dog.") == "A Dog."
