"""Architectures in a few numbers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.clip.conftest import TINY
from trifocal.clip import SHAPES, ClipShape, Tokenizer, build_clip
from trifocal.errors import UserError


def test_published_sizes() -> None:
    # Parameters of the published models, as their authors count them.
    counts = {"ViT-B-32": 151_277_313, "ViT-B-16": 149_620_737, "ViT-L-14": 427_616_513}
    import torch
    from transformers import CLIPModel

    for name, count in counts.items():
        with torch.device("meta"):
            network = CLIPModel(SHAPES[name].config())
        assert sum(p.numel() for p in network.parameters()) == count


def test_config_and_back() -> None:
    for shape in (TINY, *SHAPES.values()):
        again = ClipShape.of(shape.config())
        assert again.config().to_dict() == shape.config().to_dict()


def test_special_ids_are_the_tokenizers(tiny_tokenizer: Tokenizer) -> None:
    config = build_clip(TINY, tiny_tokenizer).network.config.text_config
    assert config.vocab_size == tiny_tokenizer.vocab_size
    assert (config.bos_token_id, config.eos_token_id) == (558, 559)
    plain = SHAPES["ViT-B-32"].config().text_config
    assert (plain.vocab_size, plain.bos_token_id, plain.eos_token_id) == (49408, 49406, 49407)


@pytest.mark.parametrize(
    "change", [{"image_size": 33}, {"vision_heads": 5}, {"text_width": 32, "text_heads": None}]
)
def test_impossible_shapes_are_refused(change: dict) -> None:
    with pytest.raises(UserError):
        replace(TINY, **change)
