"""Weight decay spares gains, biases, normalization and the logit scale."""

from __future__ import annotations

from trifocal.clip import ClipShape, build_clip, train_tokenizer
from trifocal.tuning import decay_groups


def test_the_published_rule_on_transformers_names() -> None:
    shape = ClipShape(
        image_size=32, patch_size=16, vision_width=32, vision_layers=1, vision_heads=2,
        text_width=32, text_layers=1, text_heads=2, embed_dim=16, context_length=32,
    )  # fmt: skip
    clip = build_clip(shape, train_tokenizer(["a"], 520, context_length=32))
    named = dict(clip.network.named_parameters())
    decayed, plain = decay_groups(named.items(), 0.1)
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.1, 0.0)
    spared = {id(p) for p in plain["params"]}
    names = {name for name, p in named.items() if id(p) in spared}
    assert "logit_scale" in names
    assert "vision_model.pre_layrnorm.weight" in names
    assert "vision_model.embeddings.class_embedding" in names
    assert all(named[name].ndim < 2 for name in names)
    kept = set(named) - names
    assert "text_model.embeddings.position_embedding.weight" in kept
    assert "visual_projection.weight" in kept
    assert all(named[name].ndim >= 2 for name in kept)


def test_frozen_parameters_are_left_out() -> None:
    clip = build_clip(
        ClipShape(
            image_size=32, patch_size=16, vision_width=32, vision_layers=1, vision_heads=2,
            text_width=32, text_layers=1, text_heads=2, embed_dim=16, context_length=32,
        ),
        train_tokenizer(["a"], 520, context_length=32),
    )  # fmt: skip
    clip.network.requires_grad_(False)
    clip.network.visual_projection.requires_grad_(True)
    groups = decay_groups(clip.network.named_parameters(), 0.1)
    assert len(groups) == 1
    assert len(groups[0]["params"]) == 1
