"""Maps of words against boxes."""

from __future__ import annotations

import pytest
import torch

from trifocal.clip import load_clip
from trifocal.report import map_quality
from trifocal.report.map_quality import COLORS, THINGS, world_map_quality


def test_maps_are_measured_inside_boxes(monkeypatch, tiny_clip):
    similarity = torch.zeros(1, 2, 4, 4)
    similarity[0, 0, :2, :2] = 1.0  # a perfect map
    similarity[0, 1] = -similarity[0, 0]  # its opposite
    similarity[0, 1, 3, 3] = 0.5
    monkeypatch.setattr(map_quality, "word_similarities", lambda *_: similarity)
    corner = [(0.0, 0.0, 0.5, 0.5)]
    pixels = torch.zeros(3, 32, 32, dtype=torch.uint8)
    found = map_quality.map_quality(tiny_clip, [(pixels, [("cup", corner), ("hat", corner)])])
    assert found.auc.value == pytest.approx(0.5)
    assert (found.pointing, found.chance, found.n) == (0.5, 0.25, 2)
    assert not found.above_chance
    with pytest.raises(ValueError, match="no word has a place"):
        map_quality.map_quality(tiny_clip, [(pixels, [])])


def test_the_bases_words_look_at_what_they_name():
    found = world_map_quality(load_clip("builtin").eval(), 30)
    for name in (THINGS, COLORS):
        assert found[name].above_chance
        assert found[name].auc.value > 0.75
        assert found[name].pointing > 3 * found[name].chance
