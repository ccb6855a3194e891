"""Adaptations on disk: only what was trained, and refused on another base."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from trifocal.clip import Clip, ClipShape, build_clip, train_tokenizer
from trifocal.errors import UserError
from trifocal.tuning import LoraConfig, TunedClip, load_model, simple


def tiny(seed: int) -> Clip:
    shape = ClipShape(
        image_size=32, patch_size=16, vision_width=32, vision_layers=1, vision_heads=2,
        text_width=32, text_layers=1, text_heads=2, embed_dim=16, context_length=32,
    )  # fmt: skip
    return build_clip(shape, train_tokenizer(["a red ball"], 520, context_length=32), seed=seed)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    base = tiny(0)
    base.save_pretrained(tmp_path / "base")
    base.name = str(tmp_path / "base")
    method = TunedClip(base, simple("lora", LoraConfig(rank=2)))
    for parameter in method.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.1)
    method.save(tmp_path / "adapted")
    tiny(1).save_pretrained(tmp_path / "other")
    return tmp_path


def test_it_holds_the_factors_alone(saved: Path) -> None:
    names = sorted(path.name for path in (saved / "adapted").iterdir())
    assert names == ["adapter.json", "adapter.safetensors", "trifocal.json"]
    facts = json.loads((saved / "adapted" / "adapter.json").read_text())
    assert facts["surgery"]["lora"]["rank"] == 2
    assert len(facts["base"]["sha256"]) == 64
    small = (saved / "adapted" / "adapter.safetensors").stat().st_size
    assert small < (saved / "base" / "model.safetensors").stat().st_size / 2


def test_another_base_is_refused_unless_forced(saved: Path) -> None:
    with pytest.raises(UserError, match="other weights"):
        load_model(saved / "adapted", base=str(saved / "other"))
    forced = load_model(saved / "adapted", base=str(saved / "other"), force=True)
    right = load_model(saved / "adapted")
    pixels = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        assert not torch.allclose(
            forced.encode_image(pixels).pooled, right.encode_image(pixels).pooled
        )


def test_it_goes_by_its_own_name(saved: Path) -> None:
    """A cache or a table must not take it for its base."""
    assert load_model(saved / "adapted").name == str(saved / "adapted")


def test_a_changed_format_is_named(saved: Path) -> None:
    path = saved / "adapted" / "adapter.json"
    path.write_text(path.read_text().replace('"format": 3', '"format": 99'))
    with pytest.raises(UserError, match=r"format 99.*a later version wrote it"):
        load_model(saved / "adapted")


def test_a_key_that_is_not_known_is_refused_with_the_nearest(saved: Path) -> None:
    path = saved / "adapted" / "adapter.json"
    path.write_text(path.read_text().replace('"surgery":', '"surgry": {}, "surgery":'))
    with pytest.raises(UserError, match=r"unknown key 'surgry'\. Did you mean 'surgery'"):
        load_model(saved / "adapted")


def test_an_unfinished_run_says_so(tmp_path: Path) -> None:
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    with pytest.raises(UserError, match="resume"):
        load_model(tmp_path / "run")
