"""The full architectures, random weights, against plain transformers: 1e-5, patches included."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F
from transformers import CLIPModel

from tests.clip.conftest import CAPTIONS
from trifocal.clip import SHAPES, ClipShape, Tokenizer, build_clip


@pytest.mark.slow
@pytest.mark.parametrize(
    "shape",
    [
        SHAPES["ViT-B-32"],
        replace(SHAPES["ViT-B-16"], vision_layers=2, text_layers=2),  # one is of full depth
        replace(SHAPES["ViT-L-14"], vision_layers=2, text_layers=2),
    ],
    ids=["ViT-B-32", "ViT-B-16", "ViT-L-14"],
)
def test_full_architectures_equal_transformers(shape: ClipShape, tiny_tokenizer: Tokenizer) -> None:
    clip = build_clip(shape, tiny_tokenizer)
    network = CLIPModel(clip.network.config)
    network.load_state_dict(clip.network.state_dict())
    network.eval()
    pixels = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    batch = clip.tokenizer(CAPTIONS[:2], length=77)
    with torch.no_grad():
        image, theirs = clip.encode_image(pixels, patches=True), network.get_image_features(pixels)
        assert (image.pooled - F.normalize(theirs.pooler_output, dim=-1)).abs().max() <= 1e-5
        states = network.vision_model.post_layernorm(theirs.last_hidden_state)
        assert image.patches is not None
        assert (image.patches - network.visual_projection(states)[:, 1:]).abs().max() <= 1e-5
        text, theirs = (
            clip.encode_text(CAPTIONS[:2], tokens=True),
            network.get_text_features(batch.ids),
        )
        assert (text.pooled - F.normalize(theirs.pooler_output, dim=-1)).abs().max() <= 1e-5
        assert text.tokens is not None
        tokens = network.text_projection(theirs.last_hidden_state)[:, : text.tokens.shape[1]]
        assert (text.tokens - tokens)[text.mask].abs().max() <= 1e-5
