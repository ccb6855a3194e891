"""Positions that start as waves, and a text tower drawn anew."""

from __future__ import annotations

import copy

import pytest
import torch

from trifocal.clip import ClipShape, build_clip
from trifocal.clip.init import renew_text, waves
from trifocal.errors import UserError


def test_waves_by_hand():
    table = waves(2, 3, 4)  # one frequency an axis, 1
    y, x = torch.tensor([0, 0, 0, 1, 1, 1.0]), torch.tensor([0, 1, 2, 0, 1, 2.0])
    torch.testing.assert_close(table, torch.stack([y.sin(), y.cos(), x.sin(), x.cos()], dim=1))


def test_neighbors_are_alike_and_all_differ():
    table = waves(6, 6, 128)
    likeness = table @ table.T
    assert likeness[0, 1] > likeness[0, 2] > likeness[0, 5]
    torch.testing.assert_close(likeness[7, 8], likeness[7, 13])  # across as along
    assert torch.cdist(table, table).add(torch.eye(36)).min() > 0.1


def test_a_start_depends_on_the_seed_alone(tiny_tokenizer):
    shape = ClipShape(
        image_size=32, patch_size=8, vision_width=32, vision_layers=1, vision_heads=2,
        text_width=32, text_layers=1, text_heads=2, embed_dim=16, positions="waves",
    )  # fmt: skip
    first, second, other = (build_clip(shape, tiny_tokenizer, seed=seed) for seed in (0, 0, 1))
    for a, b in zip(first.parameters(), second.parameters()):
        assert torch.equal(a, b)
    positions = "network.vision_model.embeddings.position_embedding.weight"
    patches = "network.vision_model.embeddings.patch_embedding.weight"
    ours, theirs = first.state_dict(), other.state_dict()
    assert torch.equal(ours[positions][1:], theirs[positions][1:])
    assert not torch.equal(ours[patches], theirs[patches])
    assert ours[patches].std() == pytest.approx((3 * 192) ** -0.5, rel=0.1)


def test_a_width_that_has_no_waves():
    with pytest.raises(UserError, match="that 4 divides"):
        ClipShape(vision_width=6, vision_heads=2, positions="waves")
    with pytest.raises(ValueError, match="4 divides"):
        waves(2, 2, 6)


def test_a_text_tower_drawn_anew(tiny_clip):
    clip = copy.deepcopy(tiny_clip)
    with torch.no_grad():
        clip.network.logit_scale.fill_(4.0)
    renew_text(clip.network, 5)
    once = {name: value.clone() for name, value in clip.network.state_dict().items()}
    for name, before in tiny_clip.network.state_dict().items():
        is_text = name.startswith("text_") and before.is_floating_point()
        drawn = is_text and "norm" not in name and "bias" not in name
        assert torch.equal(once[name], before) is not drawn or name == "logit_scale", name
    assert once["logit_scale"] == pytest.approx(tiny_clip.network.config.logit_scale_init_value)
    renew_text(clip.network, 5)
    assert all(torch.equal(once[name], value) for name, value in clip.network.state_dict().items())
