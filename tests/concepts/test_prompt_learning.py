"""CoOp: what it trains, where it starts, and that a saved context goes with other classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from trifocal.clip import SHAPES, Clip, ClipShape, build_clip, train_tokenizer
from trifocal.clip.preprocess import Preprocess
from trifocal.concepts.prompt_learning import Coop, CoopConfig
from trifocal.data.batching import CenterCrop
from trifocal.data.labeled import ClassSample
from trifocal.errors import UserError
from trifocal.tuning import load_model

NAMES = ("red ball", "hat", "two cats")
SHAPE = ClipShape(
    image_size=32, patch_size=16, vision_width=32, vision_layers=1, vision_heads=2,
    text_width=24, text_layers=2, text_heads=2, embed_dim=16, context_length=32,
)  # fmt: skip


def tiny() -> Clip:
    tokenizer = train_tokenizer(["a photo of a red ball."], 540, context_length=32)
    return build_clip(SHAPE, tokenizer)


def make_batch(method: Coop) -> Any:
    batching: Any = method.batching(CenterCrop(method.clip.preprocess))
    drawn = []
    for label in (2, 0, 1, 0):
        rng = np.random.default_rng(label)
        noise = Image.fromarray(rng.integers(256, size=(40, 50, 3), dtype=np.uint8))
        drawn.append(batching.draw(ClassSample(str(label), noise, label, NAMES), rng))
    return batching.collate(drawn)


def train(method: Coop, steps: int = 6) -> list[float]:
    optimizer = torch.optim.AdamW(method.param_groups(0.0), lr=0.01)
    losses = []
    for _ in range(steps):
        (loss,) = method.loss(make_batch(method)).values()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    return losses


def trained(method: Coop) -> dict[str, torch.nn.Parameter]:
    return {name: p for name, p in method.named_parameters() if p.requires_grad}


def test_the_published_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """16 vectors of width 512, whatever the classes; class-specific, as many for each."""
    monkeypatch.setattr(Clip, "fingerprint", lambda self: "")  # weights without values have none
    for options, count in (
        ({}, 8192),
        ({"class_specific": True, "classnames": NAMES}, 3 * 8192),
        ({"words": "a photo of a"}, None),
    ):
        with torch.device("meta"):
            shape = SHAPES["ViT-B-16"]
            size = Preprocess(size=(224, 224))
            tokenizer = train_tokenizer(["a"], 540)
            clip = Clip.from_config(shape.config(), tokenizer, size)
        method = Coop(clip, CoopConfig(**options))
        found = sum(p.numel() for p in trained(method).values())
        assert found == (count or 512 * len(tokenizer.encode("a photo of a")[1:-1]))


def test_words_start_as_the_frozen_clip_with_that_prompt() -> None:
    method = Coop(tiny(), CoopConfig(words="a photo of a")).eval()
    plain = tiny()
    batch = make_batch(method)
    prompts = [f"a photo of a {name}." for name in NAMES]
    with torch.no_grad():
        encoded = method(batch.pixels, batch.text)
        texts, images = plain.encode_text(prompts), plain.encode_image(batch.pixels)
    torch.testing.assert_close(encoded.text.pooled, texts.pooled, rtol=0, atol=1e-6)
    torch.testing.assert_close(encoded.image.pooled, images.pooled, rtol=0, atol=0)


@pytest.mark.parametrize("position", ["end", "middle", "front"])
@pytest.mark.parametrize("class_specific", [False, True])
def test_only_the_context_learns(position: Any, class_specific: bool) -> None:
    torch.manual_seed(0)
    names = NAMES if class_specific else ()
    method = Coop(tiny(), CoopConfig(4, "", position, class_specific, names, flip=False))
    (name,) = trained(method)
    assert name.endswith("text_model.embeddings.context.vectors")
    before = {n: p.detach().clone() for n, p in method.named_parameters()}
    losses = train(method)
    assert losses[-1] < losses[0]
    moved = {n for n, p in method.named_parameters() if not torch.equal(p, before[n])}
    assert moved == {name}
    gradients = [n for n, p in method.named_parameters() if p.grad is not None and n != name]
    assert not gradients


def test_a_saved_context_goes_with_new_classes(tmp_path: Path) -> None:
    base = tiny()
    base.save_pretrained(tmp_path / "base")
    base.name = str(tmp_path / "base")
    method = Coop(base, CoopConfig(4))
    train(method)
    method.eval().save(tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    new = ["green umbrella.", "kite."]
    with torch.no_grad():
        found, expected = loaded.encode_text(new).pooled, method.encode_text(new).pooled
        plain = tiny().encode_text(new).pooled
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
    assert (found - plain).abs().max() > 1e-3
    assert loaded.conventions["classes"] == {"template": "{}."}
    size = (tmp_path / "model" / "adapter.safetensors").stat().st_size
    assert size < 4 * 24 * 4 + 300


def test_class_specific_contexts_are_saved_with_their_classes(tmp_path: Path) -> None:
    base = tiny()
    base.save_pretrained(tmp_path / "base")
    base.name = str(tmp_path / "base")
    method = Coop(base, CoopConfig(4, class_specific=True, classnames=NAMES))
    train(method)
    method.eval().save(tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    texts = [f"{name}." for name in reversed(NAMES)]
    with torch.no_grad():
        found, expected = loaded.encode_text(texts).pooled, method.encode_text(texts).pooled
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
    with pytest.raises(UserError, match="learn one context for all"):
        loaded.encode_text(["kite."])


def test_class_specific_contexts_need_classes() -> None:
    with pytest.raises(UserError, match="give classnames"):
        Coop(tiny(), CoopConfig(class_specific=True))
