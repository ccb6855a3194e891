"""Clip: both towers' embeddings against transformers, trimming, shapes, gradients."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import CLIPModel

from tests.clip.conftest import CAPTIONS, TINY
from trifocal.clip import Clip, Preprocess, TextBatch, TextEmbedding, Tokenizer, build_clip
from trifocal.errors import UserError


def reference(clip: Clip) -> CLIPModel:
    """Plain transformers with the same weights, untouched by us."""
    network = CLIPModel(clip.network.config)
    network = network.to(clip.network.dtype)
    network.load_state_dict(clip.network.state_dict())
    return network.eval()


def pixels(count: int = 2, height: int = 32, width: int = 32) -> Tensor:
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(0))


# --- images ---------------------------------------------------------------------------------


def test_image_embeddings_equal_transformers(tiny_clip: Clip) -> None:
    network, x = reference(tiny_clip), pixels()
    got = tiny_clip.encode_image(x, patches=True)
    theirs = network.get_image_features(x)
    assert torch.allclose(got.pooled, F.normalize(theirs.pooler_output, dim=-1), atol=1e-6)
    # Patches by hand: the final LayerNorm and projection of CLS, on all other tokens.
    tokens = network.vision_model.post_layernorm(theirs.last_hidden_state)
    expected = network.visual_projection(tokens)[:, 1:]
    assert got.patches is not None
    assert torch.allclose(got.patches, expected, atol=1e-6)
    assert got.patches.shape == (2, 16, 24)


def test_patches_are_made_only_when_asked(tiny_clip: Clip) -> None:
    plain, full = tiny_clip.encode_image(pixels()), tiny_clip.encode_image(pixels(), patches=True)
    assert plain.patches is None
    assert torch.allclose(plain.pooled, full.pooled, atol=1e-6)
    assert torch.allclose(plain.pooled.norm(dim=-1), torch.ones(2), atol=1e-6)


def test_bytes_are_normalized_and_floats_are_not(tiny_clip: Clip) -> None:
    raw = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    normalized = tiny_clip.preprocess.normalize(raw)
    from_bytes, from_floats = tiny_clip.encode_image(raw), tiny_clip.encode_image(normalized)
    assert from_bytes.pooled.equal(from_floats.pooled)


@pytest.mark.parametrize(("height", "width"), [(16, 48), (48, 32), (8, 8), (64, 64)])
def test_any_multiple_of_the_patch_size(tiny_clip: Clip, height: int, width: int) -> None:
    got = tiny_clip.encode_image(pixels(2, height, width), patches=True)
    assert got.patches is not None
    assert got.patches.shape == (2, height * width // 64, 24)
    assert torch.isfinite(got.patches).all()


def test_patches_are_in_row_major_order(tiny_clip: Clip) -> None:
    # Without attention between tokens a patch depends on its own pixels alone.
    for layer in tiny_clip.network.vision_model.encoder.layers:
        torch.nn.init.zeros_(layer.self_attn.out_proj.weight)
    x = pixels(1, 16, 32)
    before = tiny_clip.encode_image(x, patches=True).patches
    x[..., 8:16, 16:24] += 1  # second row, third column of 2 x 4 patches
    after = tiny_clip.encode_image(x, patches=True).patches
    assert before is not None
    assert after is not None
    changed = (before - after).abs().amax(dim=(0, 2)) > 1e-6
    assert changed.nonzero().flatten().tolist() == [1 * 4 + 2]


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 1, 32, 32), (1, 3, 30, 32), (1, 3, 0, 32)])
def test_impossible_pixels_are_refused(tiny_clip: Clip, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"pixels must be|multiples of 8"):
        tiny_clip.encode_image(torch.zeros(shape))


def test_a_rectangular_clip(tiny_tokenizer: Tokenizer) -> None:
    clip = build_clip(TINY, tiny_tokenizer, Preprocess(size=(16, 40)))
    assert clip.image_size == (16, 40)
    assert clip.patch_grid == (2, 5)
    with pytest.raises(ValueError, match="multiples of 8"):
        build_clip(TINY, tiny_tokenizer, Preprocess(size=(20, 40)))


# --- texts ----------------------------------------------------------------------------------


def test_text_embeddings_equal_transformers(tiny_clip: Clip) -> None:
    network, batch = reference(tiny_clip), tiny_clip.tokenize(CAPTIONS)
    got = tiny_clip.encode_text(CAPTIONS, tokens=True)
    theirs = network.get_text_features(batch.ids)
    assert torch.allclose(got.pooled, F.normalize(theirs.pooler_output, dim=-1), atol=1e-6)
    assert got.tokens is not None
    # transformers returns all positions after the final LayerNorm.
    expected = network.text_projection(theirs.last_hidden_state)
    assert torch.allclose(got.tokens, expected, atol=1e-6)
    assert got.mask is not None
    assert got.mask.equal(batch.mask)


@pytest.mark.parametrize("padding", [0, 5, 559])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-6), (torch.float64, 1e-12)])
def test_trimming_is_exact(
    tiny_clip: Clip, padding: int, dtype: torch.dtype, tolerance: float
) -> None:
    tiny_clip.to(dtype)
    captions = ["a red cat", "two dogs", "", "the man on a sofa"]
    batch = tiny_clip.tokenizer(captions, length=20)
    padded = TextBatch(batch.ids.masked_fill(batch.ids == 0, padding), batch.lengths)
    trimmed = tiny_clip.encode_text(captions, tokens=True)
    states = reference(tiny_clip).text_model(padded.ids).last_hidden_state  # over all positions
    full = tiny_clip.network.text_projection(states)
    pooled = F.normalize(full[torch.arange(4), padded.lengths - 1], dim=-1)
    assert (trimmed.pooled - pooled).abs().max() <= min(tolerance, 1e-6)
    assert trimmed.tokens is not None
    assert trimmed.mask is not None
    width = trimmed.tokens.shape[1]
    assert width < 20
    difference = (trimmed.tokens - full[:, :width])[trimmed.mask]
    assert difference.abs().max() <= tolerance  # tokens are longer than 1
    again = tiny_clip.encode_text(padded, tokens=True)
    assert again.pooled.equal(trimmed.pooled)


def test_tokens_are_made_only_when_asked(tiny_clip: Clip) -> None:
    plain, full = tiny_clip.encode_text(CAPTIONS), tiny_clip.encode_text(CAPTIONS, tokens=True)
    assert plain.tokens is None
    assert plain.mask is None
    assert torch.allclose(plain.pooled, full.pooled, atol=1e-6)


def test_pooling_goes_by_length_not_by_id(tiny_clip: Clip) -> None:
    # Old configurations say eos_token_id = 2 and pool at the largest id; ours is not the largest
    # here, occurs twice, and the configuration names another one.
    tiny_clip.network.config.text_config.eos_token_id = 2
    tiny_clip.network.text_model.eos_token_id = 2
    ids = torch.tensor([[558, 559, 300, 7, 0, 0]])
    pooled = tiny_clip.encode_text(TextBatch(ids, torch.tensor([4]))).pooled
    states = reference(tiny_clip).text_model(ids[:, :4]).last_hidden_state
    expected = F.normalize(tiny_clip.network.text_projection(states[:, 3]), dim=-1)
    assert torch.allclose(pooled, expected, atol=1e-6)


def test_grouping_by_length_changes_nothing(
    tiny_clip: Clip, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In double precision, since threads add an embedding's gradient up in any order.
    clip = copy.deepcopy(tiny_clip).double()
    captions = ["a", "the man on a sofa with a red cat and two dogs", "two dogs", "a red cat", "a"]

    def encode() -> tuple[TextEmbedding, list[torch.Tensor]]:
        got = clip.encode_text(captions, tokens=True)
        assert got.tokens is not None
        assert got.mask is not None
        total = got.pooled[:, 0].sum() + got.tokens[got.mask].square().sum()
        weights = list(clip.network.text_model.parameters())
        return got, list(torch.autograd.grad(total, weights))

    passes: list[int] = []
    clip.network.text_model.encoder.register_forward_pre_hook(lambda *_: passes.append(1))
    grouped, slopes = encode()
    assert len(passes) == 2
    monkeypatch.setattr("trifocal.clip.model.length_groups", lambda lengths: [lengths])
    whole, expected = encode()
    assert len(passes) == 3
    torch.testing.assert_close(grouped.pooled, whole.pooled, atol=1e-12, rtol=0)
    assert grouped.tokens is not None
    assert whole.tokens is not None
    assert grouped.mask is not None
    assert grouped.mask.equal(whole.mask)
    torch.testing.assert_close(
        grouped.tokens[grouped.mask], whole.tokens[grouped.mask], atol=1e-12, rtol=0
    )
    for ours, theirs in zip(slopes, expected):
        torch.testing.assert_close(ours, theirs, atol=1e-10, rtol=0)


def test_no_texts_and_no_images(tiny_clip: Clip) -> None:
    assert tiny_clip.encode_text([]).pooled.shape == (0, 24)
    patches = tiny_clip.encode_image(torch.zeros(0, 3, 16, 32), patches=True).patches
    assert patches is not None
    assert patches.shape == (0, 8, 24)
    assert tiny_clip.encode_image(torch.zeros(0, 3, 16, 32)).pooled.shape == (0, 24)


def test_an_empty_caption_has_only_its_end(tiny_clip: Clip) -> None:
    got = tiny_clip.encode_text([""], tokens=True)
    assert got.mask is not None
    assert got.mask.tolist() == [[False, True]]
    assert torch.isfinite(got.pooled).all()


# --- the whole ------------------------------------------------------------------------------


def test_properties(tiny_clip: Clip) -> None:
    assert tiny_clip.image_size == (32, 32)
    assert tiny_clip.patch_size == 8
    assert tiny_clip.patch_grid == (4, 4)
    assert tiny_clip.embed_dim == 24
    assert tiny_clip.context_length == 20
    assert tiny_clip.tokenizer.context_length == 20
    assert tiny_clip.activation == "quick_gelu"
    assert tiny_clip.device == torch.device("cpu")
    assert tiny_clip.text_is_causal


def test_logit_scale_learns(tiny_clip: Clip) -> None:
    assert tiny_clip.logit_scale.ndim == 0
    assert math.isclose(tiny_clip.logit_scale.item(), 1 / 0.07, rel_tol=1e-4)
    tiny_clip.logit_scale.backward()
    assert tiny_clip.network.logit_scale.grad is not None


def test_weights_depend_on_the_seed_alone(tiny_tokenizer: Tokenizer) -> None:
    torch.manual_seed(1)
    first = build_clip(TINY, tiny_tokenizer, seed=5)
    after = torch.rand(1)
    torch.manual_seed(2)
    second = build_clip(TINY, tiny_tokenizer, seed=5)
    assert first.fingerprint() == second.fingerprint()
    assert first.fingerprint() != build_clip(TINY, tiny_tokenizer, seed=6).fingerprint()
    torch.manual_seed(1)
    assert torch.rand(1).equal(after)  # building does not touch the caller's generator


def test_fingerprint_sees_weights_activation_and_preprocessing(tiny_clip: Clip) -> None:
    prints = {tiny_clip.fingerprint(), copy.deepcopy(tiny_clip).fingerprint()}
    assert len(prints) == 1
    tiny_clip.preprocess = replace(tiny_clip.preprocess, mean=(0.5, 0.5, 0.5))
    prints.add(tiny_clip.fingerprint())
    tiny_clip.network.config.text_config.hidden_act = "gelu"
    prints.add(tiny_clip.fingerprint())
    tiny_clip.network.text_projection.weight.data[0, 0] += 1e-6
    prints.add(tiny_clip.fingerprint())
    prints.add(tiny_clip.half().fingerprint())
    assert len(prints) == 5


def test_image_fingerprint_sees_the_image_tower_alone(tiny_clip: Clip) -> None:
    network = tiny_clip.network
    first = tiny_clip.image_fingerprint()
    network.text_projection.weight.data.add_(1)
    network.logit_scale.data.add_(1)
    network.config.text_config.hidden_act = "gelu"
    assert tiny_clip.image_fingerprint() == first
    prints = {first}
    network.visual_projection.weight.data[0, 0] += 1e-6
    prints.add(tiny_clip.image_fingerprint())
    network.vision_model.pre_layrnorm.bias.data[0] += 1e-6
    prints.add(tiny_clip.image_fingerprint())
    network.config.vision_config.hidden_act = "gelu"
    prints.add(tiny_clip.image_fingerprint())
    tiny_clip.preprocess = replace(tiny_clip.preprocess, mean=(0.5, 0.5, 0.5))
    prints.add(tiny_clip.image_fingerprint())
    assert len(prints) == 5


def test_gradients_reach_every_parameter(tiny_clip: Clip) -> None:
    image = tiny_clip.encode_image(pixels(2, 16, 48), patches=True)
    text = tiny_clip.encode_text(CAPTIONS[:2], tokens=True)
    assert image.patches is not None
    assert text.tokens is not None
    scores = tiny_clip.logit_scale * image.pooled @ text.pooled.T
    (scores.pow(2).sum() + image.patches.pow(2).sum() + text.tokens.pow(2).sum()).backward()
    without = [n for n, p in tiny_clip.named_parameters() if p.grad is None]
    assert without == []


def test_gradient_checkpointing_changes_no_gradient(tiny_clip: Clip) -> None:
    tiny_clip.train()

    def gradients() -> dict[str, Tensor]:
        tiny_clip.zero_grad()
        image, text = tiny_clip.encode_image(pixels()), tiny_clip.encode_text(CAPTIONS[:2])
        (image.pooled * text.pooled).sum().backward()
        return {n: p.grad.clone() for n, p in tiny_clip.named_parameters() if p.grad is not None}

    calls = []
    layer = tiny_clip.network.text_model.encoder.layers[0].mlp
    layer.register_forward_pre_hook(lambda *_: calls.append(1))
    plain = gradients()
    assert len(calls) == 1
    tiny_clip.gradient_checkpointing()
    recomputed = gradients()
    assert len(calls) == 3  # once forward, once again for the backward pass
    tiny_clip.gradient_checkpointing(False)
    gradients()
    assert len(calls) == 4
    assert plain.keys() == recomputed.keys()
    for name, value in plain.items():
        assert torch.allclose(value, recomputed[name], atol=1e-7), name


def test_half_precision_weights(tiny_clip: Clip) -> None:
    expected = tiny_clip.encode_image(pixels()).pooled
    tiny_clip.bfloat16()
    got = tiny_clip.encode_image(pixels(), patches=True)
    assert got.pooled.dtype == torch.bfloat16
    assert F.cosine_similarity(got.pooled.float(), expected).min() > 0.99
    assert tiny_clip.encode_text(CAPTIONS).pooled.dtype == torch.bfloat16


def test_the_tokenizer_must_fit(tiny_clip: Clip, clip_tokenizer: Tokenizer) -> None:
    with pytest.raises(UserError, match="49408 ids but the text tower only 560"):
        Clip(tiny_clip.network, clip_tokenizer)


# --- features that are not normalized --------------------------------------------------------


def test_features_normalized_are_the_embeddings(tiny_clip: Clip) -> None:
    x = pixels(3)
    with torch.no_grad():
        image, text = tiny_clip.image_features(x), tiny_clip.text_features(CAPTIONS)
        assert torch.equal(F.normalize(image, dim=-1), tiny_clip.encode_image(x).pooled)
        assert torch.equal(F.normalize(text, dim=-1), tiny_clip.encode_text(CAPTIONS).pooled)
    for features in (image, text):
        assert ((features.norm(dim=-1) - 1).abs() > 0.01).all()


def test_features_before_the_projection(tiny_clip: Clip) -> None:
    x = pixels(3)
    with torch.no_grad():
        before = tiny_clip.image_features(x, projected=False)
        assert before.shape == (3, 32)
        assert tiny_clip.image_projection.shape == (32, 24)
        assert not tiny_clip.image_projection.requires_grad
        after = tiny_clip.image_features(x)
    assert torch.allclose(before @ tiny_clip.image_projection, after, atol=1e-6)
