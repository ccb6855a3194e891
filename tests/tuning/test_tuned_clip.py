"""What of a backbone is trained, and what is left as it was."""

from __future__ import annotations

import copy

import pytest
import torch

from trifocal.clip import Clip, ClipShape, build_clip, load_clip, train_tokenizer
from trifocal.errors import UserError
from trifocal.tuning import TunedClip, simple


@pytest.fixture(scope="module")
def tiny_clip() -> Clip:
    shape = ClipShape(
        image_size=32, patch_size=16, vision_width=32, vision_layers=1, vision_heads=2,
        text_width=32, text_layers=1, text_heads=2, embed_dim=16, context_length=32,
    )  # fmt: skip
    return build_clip(shape, train_tokenizer(["a"], 520, context_length=32))


def _step(method: TunedClip) -> None:
    encoded = method(torch.rand(2, 3, *method.clip.image_size), method.clip.tokenize(["a", "two"]))
    (encoded.image.pooled @ encoded.text.pooled.T * encoded.scale).sum().backward()
    groups = method.param_groups(0.0)
    torch.optim.SGD(groups, lr=0.1).step()


def test_tuning_the_text_tower_leaves_the_image_tower(tiny_clip: Clip, tmp_path) -> None:
    clip = copy.deepcopy(tiny_clip)
    method = TunedClip(clip, simple("text"))
    _step(method)
    before = tiny_clip.network.state_dict()
    for name, value in clip.network.state_dict().items():
        if name.startswith("vis"):
            assert torch.equal(value, before[name]), name
    assert not torch.equal(clip.network.text_projection.weight, before["text_projection.weight"])
    assert not torch.equal(clip.network.logit_scale, before["logit_scale"])
    method.save(tmp_path / "m")
    saved = load_clip(tmp_path / "m").network.state_dict()
    assert all(torch.equal(saved[name], value) for name, value in clip.network.state_dict().items())


def test_full_tuning_moves_both_towers(tiny_clip: Clip) -> None:
    clip = copy.deepcopy(tiny_clip)
    _step(TunedClip(clip))
    before = tiny_clip.network.state_dict()
    for name in ("visual_projection.weight", "text_projection.weight"):
        assert not torch.equal(clip.network.state_dict()[name], before[name])


def test_an_unknown_tuning() -> None:
    with pytest.raises(UserError, match="'image'; it must be one of full, text, lora"):
        simple("image")  # type: ignore[arg-type]
