"""A plain vision transformer (Dosovitskiy et al., ICLR 2021) brought into CLIP's layout.

CLIP's image tower is the same network but for two things. Its patch convolution has no bias: the
bias is added to the positions of the patches. And it has a LayerNorm in front of the first block.
That norm is made the identity on what reaches it, x of width W, by a large constant c along a
direction v of mean 0 and mean square 1, which goes into every position:

    LN(x + c v) · c − c v  =  x − mean(x) − ⟨x, v⟩/W · v  +  O(|x|²/c)

The mean is what every later norm takes off anyway. The part along v is lost, so v is the direction
in which patches and positions have least (of ViT-Tiny, 192 wide, the pooled outputs of photos agree to a
cosine of 0.999998). Positions of such a tower must stay in float32: the constant needs the digits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import CLIPVisionConfig

from trifocal.clip.preprocess import Preprocess
from trifocal.clip.weights import as_floats
from trifocal.errors import UserError

CONSTANT = 2000.0
# The most that the spare direction may hold of what the others do. ImageNet's ViT-Tiny has 2e-7,
# random filters 1e-2.
_SPARE = 1e-4
_HEAD_WIDTH = 64  # of timm's vit_tiny, small, base and large; its files do not state the heads
_TIMM_EPS = 1e-6
_HEADS = ("classifier.", "pooler.", "head.", "fc_norm.", "pre_logits.")
_FILTERS = {"bilinear": 2, "bicubic": 3}


@dataclass
class PlainVit:
    """A vision transformer as CLIP's layout holds it: architecture, and tensors by CLIP's names."""

    config: CLIPVisionConfig
    state: dict[str, Tensor]


def read(config: dict[str, Any], state: dict[str, Tensor], name: str) -> PlainVit:
    """Bring the tensors of transformers' or timm's form into CLIP's layout.

    Args:
        config: The content of its config.json.
        state: Its tensors; classifiers and poolers are left aside.
        name: What to call it in an error.

    Raises:
        UserError: it has parts that CLIP's tower has no place for.
    """
    state = {key.removeprefix("vit."): tensor for key, tensor in as_floats(state, name).items()}
    state = {key: tensor for key, tensor in state.items() if not key.startswith(_HEADS)}
    form = _from_transformers if config.get("model_type") == "vit" else _from_timm
    try:
        shape, tensors = form(config, state)
    except KeyError as error:
        raise UserError(f"{name} is no plain vision transformer: it lacks {error}.") from None
    if state:
        raise UserError(
            f"{name} is no plain vision transformer: CLIP's layout has no place for "
            f"{next(iter(state))!r}."
        )
    return PlainVit(shape, _in_clip_layout(tensors, name))


def vit_pixels(described: dict[str, Any], side: int) -> dict[str, Any]:
    """Return what a ViTImageProcessor's file means, in the words of CLIP's: squashed, no crop."""
    size = described.get("size", side)
    size = {"height": size, "width": size} if isinstance(size, int) else size
    half = [0.5, 0.5, 0.5]
    usual = {"resample": 2, "image_mean": half, "image_std": half}
    own = {"size": size, "do_center_crop": False, "image_processor_type": None}
    return {**usual, **described, **own}


def timm_preprocess(config: dict[str, Any], side: int) -> Preprocess:
    """Return the evaluation preprocessing that timm's config.json states."""
    stated = config.get("pretrained_cfg", {})
    edge = int(side / stated.get("crop_pct", 0.9))
    half = [0.5, 0.5, 0.5]
    content = {
        "size": {"shortest_edge": edge},
        "crop_size": side,
        "resample": _FILTERS.get(stated.get("interpolation", "bicubic"), 3),
        "image_mean": stated.get("mean", half),
        "image_std": stated.get("std", half),
    }
    return Preprocess.from_dict(content, side)


def _from_transformers(
    config: dict[str, Any], state: dict[str, Tensor]
) -> tuple[CLIPVisionConfig, dict[str, Tensor]]:
    """Take transformers' ViT apart; `state` is emptied of what is used."""
    names = {
        "embeddings.cls_token": "cls", "embeddings.position_embeddings": "positions",
        "embeddings.patch_embeddings.projection.weight": "patch",
        "embeddings.patch_embeddings.projection.bias": "patch_bias",
        "layernorm.weight": "post.weight", "layernorm.bias": "post.bias",
    }  # fmt: skip
    parts = {
        "attention.attention.query": "self_attn.q_proj",
        "attention.attention.key": "self_attn.k_proj",
        "attention.attention.value": "self_attn.v_proj", "attention.output.dense": "self_attn.out_proj",
        "layernorm_before": "layer_norm1", "layernorm_after": "layer_norm2",
        "intermediate.dense": "mlp.fc1", "output.dense": "mlp.fc2",
    }  # fmt: skip
    for index in range(config["num_hidden_layers"]):
        for theirs, ours in parts.items():
            for kind in ("weight", "bias"):
                names[f"encoder.layer.{index}.{theirs}.{kind}"] = f"layers.{index}.{ours}.{kind}"
    tensors = {ours: state.pop(theirs) for theirs, ours in names.items()}
    shape = CLIPVisionConfig(
        hidden_size=config["hidden_size"],
        intermediate_size=config["intermediate_size"],
        num_hidden_layers=config["num_hidden_layers"],
        num_attention_heads=config["num_attention_heads"],
        image_size=config["image_size"],
        patch_size=config["patch_size"],
        hidden_act=config.get("hidden_act", "gelu"),
        layer_norm_eps=config.get("layer_norm_eps", 1e-12),
    )
    return shape, tensors


def _from_timm(
    config: dict[str, Any], state: dict[str, Tensor]
) -> tuple[CLIPVisionConfig, dict[str, Tensor]]:
    """Take timm's ViT apart; `state` is emptied of what is used."""
    architecture = str(config["architecture"])
    if not architecture.startswith(("vit_tiny_", "vit_small_", "vit_base_", "vit_large_")):
        raise UserError(
            f"the architecture {architecture!r} is not a plain vision transformer; give one of "
            "timm's vit_tiny, vit_small, vit_base or vit_large."
        )
    names = {
        "cls_token": "cls", "pos_embed": "positions", "patch_embed.proj.weight": "patch",
        "patch_embed.proj.bias": "patch_bias", "norm.weight": "post.weight",
        "norm.bias": "post.bias",
    }  # fmt: skip
    parts = {
        "attn.proj": "self_attn.out_proj", "norm1": "layer_norm1", "norm2": "layer_norm2",
        "mlp.fc1": "mlp.fc1", "mlp.fc2": "mlp.fc2",
    }  # fmt: skip
    tensors = {ours: state.pop(theirs) for theirs, ours in names.items()}
    depth = 0
    while f"blocks.{depth}.norm1.weight" in state:
        for kind in ("weight", "bias"):
            for theirs, ours in parts.items():
                tensors[f"layers.{depth}.{ours}.{kind}"] = state.pop(
                    f"blocks.{depth}.{theirs}.{kind}"
                )
            packed = state.pop(f"blocks.{depth}.attn.qkv.{kind}").chunk(3)
            for part, tensor in zip("qkv", packed):
                tensors[f"layers.{depth}.self_attn.{part}_proj.{kind}"] = tensor
        depth += 1
    width, _, patch, _ = tensors["patch"].shape
    grid = round((tensors["positions"].shape[1] - 1) ** 0.5)
    shape = CLIPVisionConfig(
        hidden_size=width,
        intermediate_size=len(tensors["layers.0.mlp.fc1.weight"]),
        num_hidden_layers=depth,
        num_attention_heads=width // _HEAD_WIDTH,
        image_size=grid * patch,
        patch_size=patch,
        hidden_act="gelu",
        layer_norm_eps=_TIMM_EPS,
    )
    return shape, tensors


def _in_clip_layout(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    positions = tensors["positions"][0].clone()
    positions[1:] += tensors["patch_bias"]
    cls = tensors["cls"].reshape(-1)
    own = torch.cat([(positions[0] + cls)[None], positions[1:]])
    direction = _spare_direction(own, tensors["patch"], name)
    constant = CONSTANT * direction
    tower, embeddings = "vision_model.", "vision_model.embeddings."
    state = {
        embeddings + "class_embedding": cls,
        embeddings + "patch_embedding.weight": tensors["patch"],
        embeddings + "position_embedding.weight": positions + constant,
        tower + "pre_layrnorm.weight": torch.full_like(direction, CONSTANT),
        tower + "pre_layrnorm.bias": -constant,
    }
    for key, tensor in tensors.items():
        if key.startswith("layers."):
            state[f"{tower}encoder.{key}"] = tensor.clone()
        elif key.startswith("post."):
            state[f"{tower}post_layernorm.{key.removeprefix('post.')}"] = tensor
    return state


def _spare_direction(positions: Tensor, patch: Tensor, name: str) -> Tensor:
    """Return v (W,), of mean 0 and mean square 1, along which a picture's states have least.

    Args:
        positions: (1 + P, W), that of CLS with the class token in it.
        patch: (W, 3, size, size) filters.
        name: What to call the tower in an error.

    Raises:
        UserError: there is as much along every direction.
    """
    filters = patch.flatten(2).permute(1, 2, 0)  # (3, size², W)
    even = filters.sum(1) * len(positions) ** 0.5  # what even areas, most of a picture, bring
    own = positions[:1] * len(positions)  # the class token is what is read in the end
    rows = torch.cat([own, positions[1:], even, filters.flatten(0, 1)]).double()
    rows = rows - rows.mean(1, keepdim=True)  # the mean of a state is lost in any case
    width = rows.shape[1]
    # Among directions without a mean: the mean's own is made the largest.
    rows = torch.cat([rows, rows.norm() * rows.new_ones(1, width)])
    values, vectors = torch.linalg.eigh(rows.T @ rows)
    if values[0] > _SPARE * values[1:-1].mean():
        raise UserError(
            f"{name} cannot be brought into CLIP's layout: its patches and positions use every "
            "direction of its states, and a norm in front of the first block needs one to itself."
        )
    direction = vectors[:, 0]
    return (direction / direction.square().mean().sqrt()).to(positions.dtype)
