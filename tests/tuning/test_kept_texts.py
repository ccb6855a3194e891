"""Texts that a frozen tower has read are looked up: the same embeddings, within their bounds."""

from __future__ import annotations

import pytest
import torch

from tests.conftest import SENTENCES
from trifocal.tuning.kept_texts import KeptTexts

TEXTS = [SENTENCES[0], "a box", SENTENCES[3], "a box"]


@pytest.mark.parametrize("tokens", [False, True])
def test_what_is_looked_up_is_what_the_tower_gives(tiny_clip, tokens, monkeypatch):
    kept = KeptTexts(1_000_000)
    first = kept.embed(tiny_clip, tiny_clip.tokenize(TEXTS), tokens=tokens)
    assert len(kept) == 3
    calls = []
    real = tiny_clip.encode_text
    monkeypatch.setattr(
        tiny_clip, "encode_text", lambda text, **o: calls.append(len(text)) or real(text, **o)
    )
    # In another batch, padded otherwise, with one text that is new.
    others = [TEXTS[1], SENTENCES[1], TEXTS[0]]
    again = kept.embed(tiny_clip, tiny_clip.tokenize(others), tokens=tokens)
    assert calls == [1]
    for texts, found in ((TEXTS, first), (others, again)):
        wanted = real(texts, tokens=tokens)
        assert torch.allclose(found.pooled, wanted.pooled, atol=1e-6)
        assert not found.pooled.requires_grad
        if tokens:
            assert torch.equal(found.mask, wanted.mask)
            there = wanted.mask[..., None]
            assert torch.allclose(found.tokens * there, wanted.tokens * there, atol=1e-6)


def test_it_keeps_to_its_bounds_and_forgets_what_was_used_longest_ago(tiny_clip):
    one = KeptTexts(1_000_000)
    one.embed(tiny_clip, tiny_clip.tokenize([TEXTS[1]]))
    kept = KeptTexts(2 * one.bytes)
    for texts in (["a box", "a cup"], ["a box"], ["a dog"], ["a box"]):
        kept.embed(tiny_clip, tiny_clip.tokenize(texts))
        assert kept.bytes <= kept.most_bytes
        assert len(kept) == 2
    made = []
    kept._made = lambda clip, text, keys, tokens: (
        made.append(len(keys)) or {key: (torch.zeros(16), None) for key in keys}
    )
    kept.embed(tiny_clip, tiny_clip.tokenize(["a box", "a dog"]))
    assert made == []
    kept.embed(tiny_clip, tiny_clip.tokenize(["a cup"]))
    assert made == [1]
