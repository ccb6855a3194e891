"""The state-dict layout of OpenAI's and open_clip's CLIPs, to and from transformers' layout.

The two differ in names, in one matrix for query, key and value, and in transposed projections;
no number changes, so a round trip is bit-equal. Published NegCLIP and FSC-CLIP files have this
layout. What the tensors do not tell (the activation, the number of heads where a head is not 64
wide, the preprocessing) stands in a configuration file beside them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from trifocal.clip.open_clip_config import check_model, heads, norm_eps
from trifocal.clip.shape import Activation, ClipShape
from trifocal.errors import UserError

_HEAD_WIDTH = 64
_WIDEST_64 = 1024  # ViT-H and larger have wider heads, which no tensor shows

_SINGLE = {  # open_clip's name -> transformers' name
    "logit_scale": "logit_scale",
    "visual.class_embedding": "vision_model.embeddings.class_embedding",
    "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "visual.ln_pre.weight": "vision_model.pre_layrnorm.weight",
    "visual.ln_pre.bias": "vision_model.pre_layrnorm.bias",
    "visual.ln_post.weight": "vision_model.post_layernorm.weight",
    "visual.ln_post.bias": "vision_model.post_layernorm.bias",
    "visual.proj": "visual_projection.weight",
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "ln_final.weight": "text_model.final_layer_norm.weight",
    "ln_final.bias": "text_model.final_layer_norm.bias",
    "text_projection": "text_projection.weight",
}
_TRANSPOSED = {"visual.proj", "text_projection"}
_BLOCK = {  # inside a layer
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "attn.out_proj": "self_attn.out_proj",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}
_LAYER = re.compile(r"(visual\.)?transformer\.resblocks\.(\d+)\.(.+)")


def is_open_clip(state: Mapping[str, Any]) -> bool:
    """Whether a state dict has this layout (a ViT's)."""
    return "visual.conv1.weight" in state and "visual.class_embedding" in state


def from_open_clip(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return transformers' state dict of an open_clip one; every tensor is a copy of its own.

    Raises:
        UserError: a name that does not belong to a CLIP with a vision transformer.
    """
    result: dict[str, Tensor] = {}
    for key, value in state.items():
        if key in _SINGLE:
            value = value.T if key in _TRANSPOSED else value
            value = value.reshape(()) if key == "logit_scale" else value
            result[_SINGLE[key]] = value.clone(memory_format=torch.contiguous_format)
            continue
        match = _LAYER.fullmatch(key)
        names = _split_names(match[3]) if match else []
        if match is None or not names:
            raise UserError(
                f"this is not a CLIP with a vision transformer: unknown tensor {key!r}."
            )
        tower = "vision_model" if match[1] else "text_model"
        for name, part in zip(names, value.chunk(len(names))):
            result[f"{tower}.encoder.layers.{match[2]}.{name}"] = part.clone()
    return result


def _split_names(name: str) -> list[str]:
    """Return transformers' name(s) of one tensor of a layer: three for the fused projection."""
    module, _, kind = name.rpartition(".")
    if name in ("attn.in_proj_weight", "attn.in_proj_bias"):
        kind = name.removeprefix("attn.in_proj_")
        return [f"self_attn.{which}_proj.{kind}" for which in "qkv"]
    return [f"{_BLOCK[module]}.{kind}"] if module in _BLOCK else []


def to_open_clip(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return open_clip's state dict of a transformers one."""
    single = {theirs: ours for ours, theirs in _SINGLE.items()}
    block = {theirs: ours for ours, theirs in _BLOCK.items()}
    result: dict[str, Tensor] = {}
    for key, value in state.items():
        if key in single:
            name = single[key]
            value = value.T if name in _TRANSPOSED else value
            result[name] = value.detach().clone(memory_format=torch.contiguous_format)
            continue
        tower, _, rest = key.partition(".encoder.layers.")
        number, _, name = rest.partition(".")
        prefix = "visual." if tower == "vision_model" else ""
        prefix += f"transformer.resblocks.{number}."
        module, _, kind = name.rpartition(".")
        if module in block:
            result[f"{prefix}{block[module]}.{kind}"] = value.detach().clone()
        elif module == "self_attn.q_proj":
            parts = [state[key.replace("q_proj", f"{which}_proj")] for which in "qkv"]
            result[f"{prefix}attn.in_proj_{kind}"] = torch.cat(parts).detach()
    return result


def shape_of(
    state: Mapping[str, Tensor], activation: Activation, config: Mapping[str, Any] | None = None
) -> ClipShape:
    """Read the architecture off the tensors, and the heads off open_clip's `model_cfg`.

    Args:
        state: in open_clip's layout.
        activation: which no tensor shows.
        config: `model_cfg` where there is one; without it a head is 64 wide.

    Raises:
        UserError: a tensor is missing or has an impossible shape, or the configuration describes
            other towers.
    """
    try:
        width, _, _, patch = state["visual.conv1.weight"].shape
        side = round((len(state["visual.positional_embedding"]) - 1) ** 0.5)
        if side * side + 1 != len(state["visual.positional_embedding"]):
            raise UserError("visual.positional_embedding is not of a square image.")
        context, text_width = state["positional_embedding"].shape
        vocab, embed = len(state["token_embedding.weight"]), state["text_projection"].shape[1]
    except (KeyError, ValueError, IndexError, TypeError) as error:
        raise UserError(f"this is not a CLIP in open_clip's layout: {error}.") from error
    if config is None and width > _WIDEST_64:
        raise UserError(
            f"an image tower {width} wide has heads of a width that the file does not tell; "
            "put its open_clip_config.json beside it."
        )
    model = config or {}
    shape = ClipShape(
        image_size=side * patch,
        patch_size=patch,
        vision_width=width,
        vision_layers=_count_layers(state, "visual.transformer.resblocks."),
        vision_heads=heads(model, "vision", width),
        text_width=text_width,
        text_layers=_count_layers(state, "transformer.resblocks."),
        text_heads=heads(model, "text", text_width) if config else text_width // _HEAD_WIDTH,
        embed_dim=embed,
        vocab_size=vocab,
        context_length=context,
        activation=activation,
        vision_eps=norm_eps(model, "vision_cfg"),
        text_eps=norm_eps(model, "text_cfg"),
    )
    check_model(model, shape)
    return shape


def _count_layers(state: Mapping[str, Tensor], prefix: str) -> int:
    return len({key[len(prefix) :].split(".")[0] for key in state if key.startswith(prefix)})
