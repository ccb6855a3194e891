"""A CLIP around an image tower of one's own: what is read, and that the tower stays what it was."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    CLIPConfig,
    CLIPModel,
    CLIPVisionConfig,
    CLIPVisionModel,
    ViTConfig,
    ViTForImageClassification,
)

from trifocal.clip import load_clip, train_tokenizer
from trifocal.clip.image_tower import load_image_tower
from trifocal.clip.own_clip import TextShape, build_around, standardize
from trifocal.errors import UserError

SMALL = {
    "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 1,
    "image_size": 32, "patch_size": 8,
}  # fmt: skip
TEXT = TextShape(width=64, layers=1, context_length=16)
TOKENIZER = train_tokenizer(["a dog and a cat"], 520, context_length=16)


@pytest.fixture(scope="module")
def pixels() -> torch.Tensor:
    return torch.randint(256, (3, 3, 32, 32), dtype=torch.uint8, generator=torch.manual_seed(0))


@pytest.fixture(scope="module")
def vit(tmp_path_factory):
    """A transformers ViT classifier whose positions and tokens matter."""
    folder = tmp_path_factory.mktemp("vit")
    torch.manual_seed(0)
    model = ViTForImageClassification(ViTConfig(**SMALL, num_labels=5)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
        embeddings = model.vit.embeddings
        projection = embeddings.patch_embeddings.projection
        for tensor in (projection.weight, projection.bias):  # a direction that nothing uses
            tensor[0] = tensor[1]
        for tensor in (embeddings.cls_token, embeddings.position_embeddings):
            tensor[..., 0] = tensor[..., 1]
    model.save_pretrained(folder)
    half = [0.5, 0.5, 0.5]
    described = {"image_processor_type": "ViTImageProcessor", "image_mean": half, "image_std": half}
    (folder / "preprocessor_config.json").write_text(json.dumps({**described, "size": 32}))
    return folder, model


def clip_vision(folder, **options):
    torch.manual_seed(1)
    model = CLIPVisionModel(CLIPVisionConfig(**SMALL, **options)).eval()
    model.save_pretrained(folder)
    return model


def test_a_plain_vit_keeps_its_features(vit, pixels):
    folder, model = vit
    tower = load_image_tower(str(folder))
    clip = build_around(tower, TEXT, TOKENIZER)
    assert (clip.preprocess.resize, clip.preprocess.interpolation) == ("squash", "bilinear")
    with torch.inference_mode():
        normalized = clip.preprocess.normalize(pixels)
        expected = model.vit(normalized).last_hidden_state[:, 0]
        found = clip.image_features(pixels)
    assert torch.cosine_similarity(found, expected).min() > 0.9999
    torch.testing.assert_close(found, expected, atol=0.02, rtol=0.02)


def test_a_vit_without_a_spare_direction_is_refused(vit, tmp_path):
    folder, _ = vit
    state = load_file(folder / WEIGHTS)
    filters = state["vit.embeddings.patch_embeddings.projection.weight"]
    save_file({**state, PATCHES: torch.randn_like(filters)}, tmp_path / WEIGHTS)
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    with pytest.raises(UserError, match="every direction"):
        load_image_tower(str(tmp_path))


def test_timms_form_is_the_same_network(vit, pixels, tmp_path):
    folder, _ = vit
    theirs = load_file(folder / "model.safetensors")
    state = {
        "cls_token": theirs["vit.embeddings.cls_token"],
        "pos_embed": theirs["vit.embeddings.position_embeddings"],
        "head.weight": torch.zeros(5, 64),
        "head.bias": torch.zeros(5),
    }
    for kind in ("weight", "bias"):
        state[f"patch_embed.proj.{kind}"] = theirs[
            f"vit.embeddings.patch_embeddings.projection.{kind}"
        ]
        state[f"norm.{kind}"] = theirs[f"vit.layernorm.{kind}"]
        for index in range(2):
            old, new = f"vit.encoder.layer.{index}", f"blocks.{index}"
            packed = [theirs[f"{old}.attention.attention.{part}.{kind}"] for part in QKV]
            state[f"{new}.attn.qkv.{kind}"] = torch.cat(packed)
            for ours, name in TIMM.items():
                state[f"{new}.{ours}.{kind}"] = theirs[f"{old}.{name}.{kind}"]
    save_file({key: tensor.contiguous() for key, tensor in state.items()}, tmp_path / WEIGHTS)
    config = {"architecture": "vit_tiny_patch8_32", "pretrained_cfg": {"crop_pct": 0.8}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    tower, other = load_image_tower(str(tmp_path)), load_image_tower(str(folder))
    assert tower.preprocess.resize_size == (40, 40)
    a, b = (build_around(each, TEXT, TOKENIZER) for each in (tower, other))
    with torch.inference_mode():
        found, expected = a.image_features(pixels), b.image_features(pixels)
    torch.testing.assert_close(found, expected, atol=1e-2, rtol=1e-2)  # another epsilon

    save_file({**state, "blocks.0.ls1.gamma": torch.ones(64)}, tmp_path / WEIGHTS)
    with pytest.raises(UserError, match=r"no place for 'blocks\.0\.ls1"):
        load_image_tower(str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "resnet50"}))
    with pytest.raises(UserError, match="resnet50"):
        load_image_tower(str(tmp_path))


WEIGHTS = "model.safetensors"
PATCHES = "vit.embeddings.patch_embeddings.projection.weight"
QKV = ("query", "key", "value")
TIMM = {
    "attn.proj": "attention.output.dense", "norm1": "layernorm_before",
    "norm2": "layernorm_after", "mlp.fc1": "intermediate.dense", "mlp.fc2": "output.dense",
}  # fmt: skip


def test_the_image_half_of_a_clip_is_taken_exactly(pixels, tmp_path):
    model = clip_vision(tmp_path)
    with pytest.raises(UserError, match=r"model\.pixels"):
        load_image_tower(str(tmp_path))
    clip = build_around(load_image_tower(str(tmp_path), "imagenet"), TEXT, TOKENIZER)
    assert clip.embed_dim == 64
    with torch.inference_mode():
        expected = model(pixel_values=clip.preprocess.normalize(pixels)).pooler_output
        torch.testing.assert_close(clip.image_features(pixels), expected, atol=1e-5, rtol=1e-4)
        wide = build_around(
            load_image_tower(str(tmp_path), "imagenet"), TEXT, TOKENIZER, embed_dim=80
        )
        features = wide.image_features(pixels)
    torch.testing.assert_close(features @ features.T, expected @ expected.T, atol=1e-3, rtol=1e-3)


def test_a_whole_clip_gives_its_projection_too(pixels, tmp_path):
    torch.manual_seed(0)
    text = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 99}
    whole = CLIPModel(CLIPConfig(vision_config=SMALL, text_config=text, projection_dim=24)).eval()
    whole.save_pretrained(tmp_path)
    clip = build_around(load_image_tower(str(tmp_path), "openai"), TEXT, TOKENIZER)
    with torch.inference_mode():
        expected = whole.get_image_features(clip.preprocess.normalize(pixels)).pooler_output
        torch.testing.assert_close(clip.image_features(pixels), expected, atol=1e-5, rtol=1e-4)


def test_the_result_is_an_ordinary_clip(vit, pixels, tmp_path):
    clip = build_around(load_image_tower(str(vit[0])), TEXT, TOKENIZER, seed=3)
    again = build_around(load_image_tower(str(vit[0])), TEXT, TOKENIZER, seed=3)
    assert clip.fingerprint() == again.fingerprint()
    clip.save_pretrained(tmp_path / "own")
    read = load_clip(tmp_path / "own")
    with torch.inference_mode():
        for mine, theirs in (
            (clip.encode_image(pixels).pooled, read.encode_image(pixels).pooled),
            (clip.encode_text(["a dog"]).pooled, read.encode_text(["a dog"]).pooled),
        ):
            torch.testing.assert_close(mine, theirs)


def test_outputs_are_standardized_in_the_last_norm(pixels, tmp_path):
    clip_vision(tmp_path)
    clip = build_around(load_image_tower(str(tmp_path), "openai"), TEXT, TOKENIZER)
    with torch.inference_mode():
        before = clip.image_features(pixels, projected=False)
        standardize(clip, before.mean(0), before.std(0))
        after = clip.image_features(pixels, projected=False)
    torch.testing.assert_close(
        after, (before - before.mean(0)) / before.std(0), atol=1e-3, rtol=1e-3
    )


def test_what_is_no_tower_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"no config\.json"):
        load_image_tower(str(tmp_path))
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(UserError, match="no weights"):
        load_image_tower(str(tmp_path))
    save_file({"x": torch.zeros(1)}, tmp_path / WEIGHTS)
    with pytest.raises(UserError, match="'bert' model"):
        load_image_tower(str(tmp_path))
    (tmp_path / "config.json").write_text('{"model_type": "vit", "num_hidden_layers": 1}')
    with pytest.raises(UserError, match="lacks 'embeddings"):
        load_image_tower(str(tmp_path))
    with pytest.raises(UserError, match="width 100"):
        TextShape(width=100, heads=3)


def test_the_real_tower_sees_a_real_photo(real_data):
    folder = real_data / "vit_tiny" / "clip_vision_model"
    if not folder.is_dir():
        pytest.skip(f"there is no {folder}")
    clip = build_around(load_image_tower(str(folder), "inception"), TEXT, TOKENIZER)
    assert (clip.image_size, clip.embed_dim, clip.activation) == ((224, 224), 192, "gelu")
