"""Parts of a CLIP's parameters, and which of them weight decay touches.

The rule of the CLIP family's training code: no decay for gains, biases, normalization layers and
the logit scale, decay for every weight with two or more dimensions (embedding tables included).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn
from transformers import CLIPModel

_NO_DECAY = ("bn", "ln", "norm", "bias", "logit_scale")


def decay_groups(
    named_parameters: Iterable[tuple[str, nn.Parameter]], weight_decay: float
) -> list[dict[str, Any]]:
    """Split the parameters that require gradients: those with `weight_decay`, and those without.

    Returns:
        Up to two groups for an optimizer, each with `params` and `weight_decay`; empty ones are
        left out.
    """
    decayed, plain = [], []
    for name, parameter in named_parameters:
        if not parameter.requires_grad:
            continue
        spared = parameter.ndim < 2 or any(part in name for part in _NO_DECAY)
        (plain if spared else decayed).append(parameter)
    groups = [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def hidden_matrices(named_parameters: Iterable[tuple[str, nn.Parameter]]) -> list[nn.Parameter]:
    """Return the matrices inside the towers' blocks (attention and MLP) that require gradients."""
    return [
        parameter
        for name, parameter in named_parameters
        if parameter.requires_grad and parameter.ndim == 2 and ".layers." in name
    ]


def text_tower(named_parameters: Iterable[tuple[str, nn.Parameter]]) -> list[nn.Parameter]:
    """Return the text tower's parameters and those of its projection into the joint space."""
    return [
        parameter
        for name, parameter in named_parameters
        if not {"text_model", "text_projection"}.isdisjoint(name.split("."))
    ]


def image_tower(network: CLIPModel) -> list[nn.Parameter]:
    """Return the image tower's parameters and those of its projection into the joint space."""
    return [*network.vision_model.parameters(), *network.visual_projection.parameters()]


def edge_parameters(network: CLIPModel) -> list[nn.Parameter]:
    """Return what stands before and behind the towers' blocks, and the logit scale.

    RCA's "pass group" (arXiv 2303.10428): patch convolution, CLS, token
    embedding, both position tables, the last norms, both projections. The norm before the image
    tower's first block is not part of it.
    """
    vision, text = network.vision_model, network.text_model
    parts: list[nn.Module] = [
        vision.embeddings, vision.post_layernorm, network.visual_projection,
        text.embeddings, text.final_layer_norm, network.text_projection,
    ]  # fmt: skip
    found = [parameter for part in parts for parameter in part.parameters()]
    return [*found, network.logit_scale]
