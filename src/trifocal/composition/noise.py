"""Disturbances of training inputs: words that are left out, features that are moved, attention."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import CLIPModel

if TYPE_CHECKING:
    import numpy as np


def drop_words(text: str, share: float, rng: np.random.Generator) -> str:
    """Return a text without some of its words, each left out with probability `share`.

    One word stays at least, drawn where all of them would go.
    """
    words = text.split()
    if not words:
        return text
    kept = rng.random(len(words)) >= share
    if not kept.any():
        kept[rng.integers(len(words))] = True
    return " ".join(word for word, stays in zip(words, kept) if stays)


def moved(features: Tensor, length: float) -> Tensor:
    """Return unit vectors (B, D) moved at random by about `length`, at unit length again."""
    step = torch.randn_like(features) * (length / features.shape[-1] ** 0.5)
    return F.normalize(features + step, dim=-1)


def set_text_attention_dropout(network: CLIPModel, share: float) -> None:
    """Let the text tower's attention pass over words in training; nothing of it is saved."""
    for layer in network.text_model.encoder.layers:
        attention: Any = layer.self_attn
        attention.dropout = share
