"""Half precision is tried once against float32, and a tower that it spoils is named."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional as F
from transformers import CLIPModel, CLIPVisionModel

from tests.clip.conftest import CAPTIONS
from trifocal.clip import Clip, ClipShape, Tokenizer, build_clip, load_clip, save_open_clip
from trifocal.clip.half_precision import HalfPrecision
from trifocal.errors import UserError


@pytest.fixture
def foreign(real_data: Path, tiny_tokenizer: Tokenizer) -> Clip:
    """The vision half is ImageNet's ViT-Tiny; the text half is random."""
    tower = CLIPVisionModel.from_pretrained(real_data / "vit_tiny" / "clip_vision_model").float()
    shape = ClipShape(
        image_size=224, patch_size=16, vision_width=192, vision_layers=12, vision_heads=3,
        text_width=64, text_layers=1, text_heads=1, embed_dim=64, context_length=20,
        activation="gelu", vision_eps=1e-6,
    )  # fmt: skip
    clip = build_clip(shape, tiny_tokenizer, name="foreign")
    state = {
        f"vision_model.{k.removeprefix('vision_model.')}": v for k, v in tower.state_dict().items()
    }
    own = clip.network.state_dict()
    clip.network.load_state_dict({**own, **{k: v for k, v in state.items() if k in own}})
    assert sum(key in own for key in state) > 190
    return clip


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_tower_that_half_precision_spoils_is_named_once(
    foreign: Clip, caplog: pytest.LogCaptureFixture, dtype: torch.dtype
) -> None:
    foreign.to(dtype)
    assert not warnings(caplog)  # at first use
    foreign.encode_text(CAPTIONS[:1])
    foreign.encode_image(torch.zeros(1, 3, 224, 224, dtype=torch.uint8))
    (warning,) = warnings(caplog)
    assert "the image tower of foreign loses its meaning in" in warning
    assert "float32" in warning


def test_autocast_leaves_its_positions_alone(
    foreign: Clip, caplog: pytest.LogCaptureFixture
) -> None:
    # The sum with the positions and the norm that takes them off stay in float32.
    pixels = torch.randint(0, 256, (1, 3, 224, 224), dtype=torch.uint8)
    with torch.no_grad():
        exact = foreign.encode_image(pixels).pooled
        with torch.autocast("cpu", dtype=torch.bfloat16):
            half = foreign.encode_image(pixels).pooled
    assert F.cosine_similarity(exact, half.float()).item() > 0.99
    assert not warnings(caplog)


def test_autocast_is_tried_too(tiny_clip: Clip, caplog: pytest.LogCaptureFixture) -> None:
    with torch.no_grad():  # differences of a thousandth on top of a thousand
        mlp = tiny_clip.network.vision_model.encoder.layers[1].mlp
        mlp.fc2.bias.fill_(1000)
        tiny_clip.network.vision_model.post_layernorm.weight.mul_(1000)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for _ in range(2):
            tiny_clip.encode_image(torch.zeros(1, 3, 32, 32, dtype=torch.uint8))
            tiny_clip.encode_text(CAPTIONS)
    (warning,) = warnings(caplog)
    assert "the image tower of tiny" in warning
    assert "bfloat16" in warning


def test_a_plain_tower_is_not_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    clip = load_clip("builtin")
    pixels = torch.zeros(1, 3, *clip.image_size, dtype=torch.uint8)
    for dtype in (torch.bfloat16, torch.float16):
        with torch.autocast("cpu", dtype=dtype):
            clip.encode_image(pixels)
            clip.encode_text(CAPTIONS)
    clip.bfloat16().encode_image(pixels)
    assert not warnings(caplog)


def test_the_check_changes_nothing_else(tiny_clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    def gradients(clip: Clip) -> list[torch.Tensor]:
        clip.train()
        torch.manual_seed(0)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            image = clip.encode_image(torch.zeros(1, 3, 32, 32, dtype=torch.uint8)).pooled
            (image @ clip.encode_text(CAPTIONS).pooled.T).float().sum().backward()
        assert all(part.training for part in clip.modules())
        found = [p.grad.clone() for n, p in clip.named_parameters() if p.grad is not None]
        clip.zero_grad()
        return [*found, torch.rand(3)]

    checked = gradients(tiny_clip)
    monkeypatch.setattr(HalfPrecision, "in_use", lambda *_: None)
    plain = gradients(tiny_clip)
    assert len(checked) == len(plain) > 40
    assert all(a.equal(b) for a, b in zip(checked, plain))


# --- the foreign tower itself ---------------------------------------------------------------


def test_a_foreign_tower_goes_round_bit_for_bit(foreign: Clip, tmp_path: Path) -> None:
    foreign.save_pretrained(tmp_path / "a")
    first = load_clip(tmp_path / "a")
    save_open_clip(first, tmp_path / "b")
    stated = json.loads((tmp_path / "b" / "open_clip_config.json").read_text())["model_cfg"]
    assert stated["vision_cfg"]["norm_kwargs"] == {"eps": 1e-6}
    assert "norm_kwargs" not in stated["text_cfg"]
    assert not stated["quick_gelu"]
    second = load_clip(tmp_path / "b")
    second.save_pretrained(tmp_path / "c")
    last = load_clip(tmp_path / "c")
    files = [load_file(tmp_path / x / "model.safetensors") for x in "ac"]
    assert files[0].keys() == files[1].keys()
    assert all(files[0][key].equal(files[1][key]) for key in files[0])
    pixels = torch.randint(0, 256, (2, 3, 224, 224), dtype=torch.uint8)
    with torch.no_grad():
        expected = foreign.encode_image(pixels).pooled
        for clip in (first, second, last):
            vision = clip.network.config.vision_config
            assert (vision.layer_norm_eps, vision.hidden_act) == (1e-6, "gelu")
            assert vision.num_attention_heads == 3
            assert clip.network.config.text_config.layer_norm_eps == 1e-5
            assert clip.preprocess.rules == "transformers"
            assert clip.encode_image(pixels).pooled.equal(expected)
        plain = CLIPModel.from_pretrained(tmp_path / "c")
        theirs = plain.get_image_features(foreign.preprocess.normalize(pixels)).pooler_output
        assert F.cosine_similarity(theirs, expected).min() > 1 - 1e-5


def test_open_clip_has_one_activation_for_both_towers(real_data: Path, tmp_path: Path) -> None:
    clip = load_clip(real_data / "photo_clip")
    assert clip.network.config.text_config.hidden_act == "quick_gelu"
    assert clip.activation == "gelu"
    assert clip.preprocess.mean == (0.5, 0.5, 0.5)
    with pytest.raises(UserError, match=r"no towers with activations \['gelu', 'quick_gelu'\]"):
        save_open_clip(clip, tmp_path / "a")
    clip.save_pretrained(tmp_path / "b")
    assert load_clip(tmp_path / "b").fingerprint() == clip.fingerprint()
