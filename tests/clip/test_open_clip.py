"""open_clip's layout: the same numbers both ways, and the same embeddings in open_clip itself."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch.nn import functional as F

from tests.clip.conftest import CAPTIONS, TINY
from trifocal.clip import (
    SHAPES,
    Clip,
    ClipShape,
    Tokenizer,
    build_clip,
    load_clip,
    save_open_clip,
)
from trifocal.clip import (
    open_clip as layout,
)
from trifocal.clip.open_clip_config import model_config, preprocess_of
from trifocal.clip.unwrap import unwrap
from trifocal.errors import UserError


def test_round_trip_is_bit_equal(tiny_clip: Clip) -> None:
    state = tiny_clip.network.state_dict()
    theirs = layout.to_open_clip(state)
    again = layout.from_open_clip(theirs)
    assert again.keys() == state.keys()
    assert all(again[key].equal(state[key]) for key in state)
    twice = layout.to_open_clip(again)
    assert twice.keys() == theirs.keys()
    assert all(twice[key].equal(theirs[key]) for key in theirs)
    assert all(value.is_contiguous() for value in [*again.values(), *theirs.values()])


def test_names_and_shapes_are_open_clips(tiny_clip: Clip) -> None:
    theirs = layout.to_open_clip(tiny_clip.network.state_dict())
    shapes = {key: tuple(value.shape) for key, value in theirs.items()}
    assert shapes["visual.transformer.resblocks.1.attn.in_proj_weight"] == (96, 32)
    assert shapes["transformer.resblocks.0.attn.in_proj_bias"] == (96,)
    assert shapes["visual.proj"] == (32, 24)
    assert shapes["text_projection"] == (32, 24)
    assert shapes["positional_embedding"] == (20, 32)
    assert shapes["logit_scale"] == ()
    assert layout.is_open_clip(theirs)
    assert not layout.is_open_clip(tiny_clip.network.state_dict())


def test_query_key_value_keep_their_order(tiny_clip: Clip) -> None:
    attention = tiny_clip.network.text_model.encoder.layers[1].self_attn
    fused = layout.to_open_clip(tiny_clip.network.state_dict())[
        "transformer.resblocks.1.attn.in_proj_weight"
    ]
    for part, module in zip(fused.chunk(3), (attention.q_proj, attention.k_proj, attention.v_proj)):
        assert part.equal(module.weight)


@pytest.mark.parametrize("wrapping", ["plain", "training", "compiled", "separate", "openai", "1d"])
def test_known_wrappings_are_undone(tiny_clip: Clip, wrapping: str) -> None:
    state = layout.to_open_clip(tiny_clip.network.state_dict())
    content: object = state
    if wrapping == "training":
        wrapped = {f"module.{key}": value for key, value in state.items()}
        content = {"epoch": 5, "name": "x", "state_dict": wrapped, "optimizer": {"state": {}}}
    elif wrapping == "compiled":
        content = {f"module._orig_mod.{key}": value for key, value in state.items()}
    elif wrapping == "separate":
        text = ("transformer.", "token_embedding", "positional_embedding", "ln_final", "text_proj")
        content = {f"text.{k}" if k.startswith(text) else k: v for k, v in state.items()}
    elif wrapping == "openai":
        content = {**state, "input_resolution": torch.tensor(32), "attn_mask": torch.zeros(20, 20)}
    elif wrapping == "1d":
        content = {**state, "logit_scale": state["logit_scale"].view(1)}
    again = layout.from_open_clip(unwrap(content, "file"))
    original = tiny_clip.network.state_dict()
    assert again.keys() == original.keys()
    assert all(again[key].equal(original[key]) for key in original)


def test_the_shape_is_read_off_the_tensors(tiny_clip: Clip) -> None:
    state = layout.to_open_clip(tiny_clip.network.state_dict())
    described = model_config(ClipShape.of(tiny_clip.network.config), tiny_clip.preprocess)
    shape = layout.shape_of(state, "quick_gelu", described["model_cfg"])
    assert shape == ClipShape.of(tiny_clip.network.config)
    assert preprocess_of(described["preprocess_cfg"], 32) == tiny_clip.preprocess


def test_known_architectures_are_recognized(clip_tokenizer: Tokenizer) -> None:
    with torch.device("meta"):
        for name, shape in SHAPES.items():
            clip = build_clip(shape, clip_tokenizer)
            state = layout.to_open_clip(clip.network.state_dict())
            found = layout.shape_of(state, "quick_gelu")
            assert found == ClipShape.of(shape.config()), name


def test_unknown_layouts_are_refused(tiny_clip: Clip) -> None:
    state = layout.to_open_clip(tiny_clip.network.state_dict())
    with pytest.raises(UserError, match=r"unknown tensor 'visual\.layer1\.0"):
        layout.from_open_clip({**state, "visual.layer1.0.conv1.weight": torch.zeros(1)})
    with pytest.raises(UserError, match="LoRA"):
        unwrap(
            {**state, "visual.transformer.resblocks.0.mlp.c_fc.lora_A": state["visual.proj"]}, "f"
        )
    with pytest.raises(UserError, match="no table of tensors"):
        unwrap([1, 2], "file")
    with pytest.raises(UserError, match="not a CLIP in open_clip's layout"):
        layout.shape_of({k: v for k, v in state.items() if k != "text_projection"}, "gelu")
    oblong = {**state, "visual.positional_embedding": torch.zeros(12, 32)}
    with pytest.raises(UserError, match="square"):
        layout.shape_of(oblong, "gelu")
    with pytest.raises(UserError, match="open_clip_config"):
        layout.shape_of({**state, "visual.conv1.weight": torch.zeros(1280, 3, 8, 8)}, "gelu")
    with pytest.raises(UserError, match="longest"):
        preprocess_of({"resize_mode": "longest"}, 32)


def test_towers_that_open_clip_lacks_are_refused(tiny_clip: Clip, tmp_path: Path) -> None:
    tiny_clip.network.config.text_config.hidden_act = "gelu"
    with pytest.raises(UserError, match="activations"):
        save_open_clip(tiny_clip, tmp_path / "x.pt")
    tiny_clip.network.config.text_config.hidden_act = "quick_gelu"
    tiny_clip.network.config.vision_config.intermediate_size = 100
    with pytest.raises(UserError, match="four times the width"):
        save_open_clip(tiny_clip, tmp_path / "x.pt")
    assert not list(tmp_path.iterdir())


# --- parity with open_clip --------------------------------------------------------------------


def compare(clip: Clip, theirs: torch.nn.Module, height: int, width: int) -> None:
    """Embed the same things in both and compare, patches included."""
    theirs.eval()
    theirs.visual.output_tokens = True
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randn(2, 3, height, width, generator=generator)
    ids = clip.tokenizer(CAPTIONS, length=clip.context_length).ids
    with torch.no_grad():
        ours = clip.encode_image(pixels, patches=True)
        pooled, tokens = theirs.visual(pixels)
        assert ours.patches is not None
        assert (ours.pooled - F.normalize(pooled, dim=-1)).abs().max() <= 1e-5
        patches = tokens @ theirs.visual.proj  # open_clip leaves the projection to the caller
        assert (ours.patches - patches).abs().max() <= 1e-5
        text = theirs.encode_text(ids, normalize=True)
        assert (clip.encode_text(CAPTIONS).pooled - text).abs().max() <= 1e-5
        assert torch.allclose(theirs.logit_scale.exp(), clip.logit_scale)


@pytest.mark.parametrize("kind", ["local-dir", "pt", "safetensors"])
def test_open_clip_loads_what_we_save(
    open_clip: ModuleType, tiny_clip: Clip, tmp_path: Path, kind: str
) -> None:
    path = tmp_path / ("model" if kind == "local-dir" else f"model.{kind}")
    save_open_clip(tiny_clip, path)
    if kind == "local-dir":
        theirs = open_clip.create_model(f"local-dir:{path}")
        tokenizer = open_clip.get_tokenizer(f"local-dir:{path}")
        ids = tiny_clip.tokenizer(CAPTIONS, length=20)
        found = tokenizer(CAPTIONS)
        assert found[ids.mask].equal(ids.ids[ids.mask])
    else:
        described = json.loads((tmp_path / "model.json").read_text())
        (tmp_path / "tiny-test.json").write_text(json.dumps(described["model_cfg"]))
        open_clip.add_model_config(tmp_path / "tiny-test.json")
        theirs = open_clip.create_model("tiny-test", pretrained=str(path))
    compare(tiny_clip, theirs, 32, 32)


def test_we_load_what_open_clip_saves(
    open_clip: ModuleType, tiny_clip: Clip, tmp_path: Path
) -> None:
    save_open_clip(tiny_clip, tmp_path / "model")
    theirs = open_clip.create_model(f"local-dir:{tmp_path / 'model'}")
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    wrapped = {f"module.{key}": value for key, value in theirs.state_dict().items()}
    path = tmp_path / "model" / "epoch_5.pt"
    torch.save({"epoch": 5, "state_dict": wrapped}, path)
    compare(load_clip(path), theirs, 32, 32)


def test_stretched_positions_equal_open_clip(
    open_clip: ModuleType, tiny_clip: Clip, tmp_path: Path
) -> None:
    save_open_clip(tiny_clip, tmp_path / "model")
    theirs = open_clip.create_model(f"local-dir:{tmp_path / 'model'}", force_image_size=(16, 48))
    compare(tiny_clip, theirs, 16, 48)


@pytest.mark.slow
@pytest.mark.parametrize("activation", ["quick_gelu", "gelu"])
@pytest.mark.parametrize("name", ["ViT-B-32", "ViT-B-16", "ViT-L-14"])
def test_full_architectures_equal_open_clip(
    open_clip: ModuleType, clip_tokenizer: Tokenizer, tmp_path: Path, name: str, activation: str
) -> None:
    shape = SHAPES[name]
    if activation == "gelu":
        shape = ClipShape(**{**vars(shape), "activation": "gelu"})
    clip = build_clip(shape, clip_tokenizer)
    save_open_clip(clip, tmp_path / "model.safetensors")
    suffix = "-quickgelu" if activation == "quick_gelu" else ""
    theirs = open_clip.create_model(name + suffix, pretrained=str(tmp_path / "model.safetensors"))
    compare(clip, theirs, shape.image_size, shape.image_size)


def test_layer_count_is_not_confused_by_two_towers(tiny_tokenizer: Tokenizer) -> None:
    shape = ClipShape(**{**vars(TINY), "vision_layers": 3, "text_layers": 1})
    clip = build_clip(shape, tiny_tokenizer)
    config = {"vision_cfg": {"head_width": 16}, "text_cfg": {"heads": 2}}
    found = layout.shape_of(layout.to_open_clip(clip.network.state_dict()), "gelu", config)
    assert (found.vision_layers, found.text_layers) == (3, 1)
