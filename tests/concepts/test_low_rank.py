"""CLIP-LoRA: the published count, its scaling, and its identity before the first step."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft.tuners.lora import LoraLayer

from trifocal.clip import SHAPES, Clip, ClipShape, build_clip, train_tokenizer
from trifocal.clip.preprocess import Preprocess
from trifocal.concepts.low_rank import ClipLora, ClipLoraConfig
from trifocal.tuning import load_model

SHAPE = ClipShape(
    image_size=32, patch_size=16, vision_width=32, vision_layers=1, vision_heads=2,
    text_width=24, text_layers=2, text_heads=2, embed_dim=16, context_length=32,
)  # fmt: skip


def tiny() -> Clip:
    return build_clip(SHAPE, train_tokenizer(["a photo of a hat."], 540, context_length=32))


def test_the_published_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Clip, "fingerprint", lambda self: "")  # weights without values have none
    tokenizer = train_tokenizer(["a"], 540)
    with torch.device("meta"):
        size = Preprocess(size=(224, 224))
        method = ClipLora(Clip.from_config(SHAPES["ViT-B-16"].config(), tokenizer, size))
    counts = {"vision": 0, "text": 0}
    for name, parameter in method.clip.network.named_parameters():
        if parameter.requires_grad:
            counts["vision" if name.startswith("vision_model") else "text"] += parameter.numel()
    assert counts == {"vision": 110_592, "text": 73_728}
    assert sum(counts.values()) == 184_320


def test_the_published_settings() -> None:
    method = ClipLora(tiny())
    layers = [m for m in method.clip.network.modules() if isinstance(m, LoraLayer)]
    assert len(layers) == 3 * (1 + 2)
    for layer in layers:
        assert layer.r["default"] == 2
        assert layer.scaling["default"] == pytest.approx(0.70710678)
        assert layer.lora_dropout["default"].p == 0.25  # type: ignore[union-attr]
        assert not layer.lora_B["default"].weight.any()  # type: ignore[operator]
        assert layer.lora_A["default"].weight.any()  # type: ignore[operator]
    assert method.template == "a photo of a {}."


def test_it_is_the_frozen_clip_before_the_first_step() -> None:
    """Also in training: dropout is in front of factors that give nothing yet."""
    plain, method = tiny(), ClipLora(tiny()).train()
    pixels = torch.rand(2, 3, 32, 32)
    texts = ["a photo of a hat.", "a photo of a cat."]
    with torch.no_grad():
        torch.testing.assert_close(
            method.encode_image(pixels).pooled, plain.encode_image(pixels).pooled, rtol=0, atol=1e-6
        )
        torch.testing.assert_close(
            method.encode_text(texts).pooled, plain.encode_text(texts).pooled, rtol=0, atol=1e-6
        )


def test_it_is_saved_with_its_prompt_and_merged_when_loaded(tmp_path: Path) -> None:
    base = tiny()
    base.save_pretrained(tmp_path / "base")
    base.name = str(tmp_path / "base")
    method = ClipLora(base, ClipLoraConfig(template="a sketch of a {}."))
    for parameter in method.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.1)
    method.eval().save(tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    assert not any(isinstance(module, LoraLayer) for module in loaded.modules())
    assert loaded.conventions["classes"] == {"template": "a sketch of a {}."}
    with torch.no_grad():
        found = loaded.encode_text(["a hat"]).pooled
        torch.testing.assert_close(found, method.encode_text(["a hat"]).pooled, atol=1e-5, rtol=0)
