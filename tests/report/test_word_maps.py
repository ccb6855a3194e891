"""The map of a word against the formula, patch by patch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from trifocal.clip.dense import dense_features
from trifocal.features.word_maps import EVERYDAY
from trifocal.report.word_maps import maps_of, word_maps

CAPTION = 'There is a "large" umbrella, right of two cats.'


@pytest.fixture
def picture() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (3, 32, 32), dtype=torch.uint8, generator=generator)


def test_maps_are_what_patches_show_of_a_word_more_than_of_others(tiny_clip, picture):
    maps = word_maps(tiny_clip, picture, CAPTION)
    assert [m.word for m in maps] == [
        "There", "is", "a", "large", "umbrella", "right", "of", "two", "cats",
    ]  # fmt: skip
    prompts = [f"{'an' if w[0] in 'aeiou' else 'a'} {w}" for w in (m.word.lower() for m in maps)]
    others = [f"{'an' if w[0] in 'aeiou' else 'a'} {w}" for w in EVERYDAY]
    every = list(dict.fromkeys(prompts + others))  # an umbrella is in both
    with torch.no_grad():
        patches = dense_features(tiny_clip, picture[None])[0].reshape(16, -1)
        scores = patches @ tiny_clip.encode_text(every).pooled.T
    for entry, prompt in zip(maps, prompts, strict=True):
        assert entry.weights.shape == tiny_clip.patch_grid
        assert entry.weights.sum() == pytest.approx(1, abs=1e-5)
        more = scores[:, every.index(prompt)] - scores.mean(1)
        expected = (more - more.min()) / (more - more.min()).sum()
        np.testing.assert_allclose(entry.weights.ravel(), expected, atol=1e-4)


def test_the_model_stays_in_its_mode(tiny_clip, picture):
    tiny_clip.train()
    word_maps(tiny_clip, picture, "a red ball")
    assert tiny_clip.training
    tiny_clip.eval()


def test_a_caption_without_words_has_no_maps(tiny_clip, picture):
    assert word_maps(tiny_clip, picture, " ... ") == []


def test_chosen_words():
    maps = [type("M", (), {"word": word})() for word in ("A", "red", "cup", "Red")]
    assert [m.word for m in maps_of(maps, ["cup", "RED", "fish"])] == ["cup", "red"]
