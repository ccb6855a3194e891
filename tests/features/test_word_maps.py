"""Words against patches: a grid as fine as the picture, and directions that say the same."""

from __future__ import annotations

import pytest
import torch

from trifocal.clip.dense import dense_features
from trifocal.features.word_maps import WordTexts, word_similarities


def test_a_finer_grid_for_a_larger_picture(tiny_clip):
    pixels = torch.zeros(2, 3, 48, 64, dtype=torch.uint8)
    assert word_similarities(tiny_clip, pixels, ["cup", "sky", "cup"]).shape == (2, 3, 6, 8)


@pytest.mark.parametrize("attention", ["tower", "query-key"])
def test_similarities_are_products_with_directions(tiny_clip, attention):
    pixels = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    words = ["cup", "Umbrella"]
    found = word_similarities(tiny_clip, pixels, words, attention)
    directions = WordTexts(tiny_clip, [*words, "fish"]).directions(words)
    patches = dense_features(tiny_clip, pixels, attention)
    torch.testing.assert_close(found, (patches @ directions.T).permute(0, 3, 1, 2))
