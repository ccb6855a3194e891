"""The adapters of RCA: small modules inside the blocks of both towers, which stay frozen.

Zhang, Ee and Fernando, "Region Conditioned Adaptation for Visual Abductive Reasoning", ACM
Multimedia 2024 (arXiv 2303.10428). A block of a tower becomes

    u  = LN1(x)
    a  = MHA(u; logits + MapAdapter(u))
    x' = x + AttentionAdapter(a)
    w  = LN2(x')
    y  = x' + MLP(w) + DropPath(MlpAdapter(w))

where every adapter is a switch. All of them start as nothing: the adapted tower equals the frozen
one before the first step.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint
from transformers import CLIPModel
from transformers.modeling_layers import GradientCheckpointingLayer

from trifocal.clip.towers import replace_blocks
from trifocal.errors import UserError

Module = Literal["mlp", "attention", "map", "msha"]
Tower = Literal["vision", "text"]


@dataclass(frozen=True)
class AdapterConfig:
    """Which adapters there are, where, and how large.

    Attributes:
        modules: "mlp" (beside the MLP), "attention" (after the attention's output), "map" (a bias
            on the attention's logits), "msha" (a narrow attention of its own, after the
            attention adapter; the paper's larger alternative to "map").
        ratio: Width of the bottlenecks, as a share of the tower's.
        towers: Whose blocks get them.
        drop_path: Rate at which the branch beside the MLP is left out in training.
        drop_path_axis: What is left out at once: a "sample", or, as in the authors' code, a
            "position" in all samples.
        map_start: Start the map adapter at "zero", or, as published, "near_zero".
        msha_scale: The narrow attention divides its logits by the square root of the width of the
            "tower"'s heads, as published, or of its "own" (as adaptations of format 2 do).
    """

    modules: tuple[Module, ...] = ("mlp", "attention", "map")
    ratio: float = 0.25
    towers: tuple[Tower, ...] = ("vision", "text")
    drop_path: float = 0.2
    drop_path_axis: Literal["sample", "position"] = "sample"
    map_start: Literal["zero", "near_zero"] = "zero"
    msha_scale: Literal["tower", "own"] = "tower"

    def __post_init__(self) -> None:
        for what, given, known in (
            ("modules", self.modules, get_args(Module)),
            ("towers", self.towers, get_args(Tower)),
        ):
            strange = [name for name in given if name not in known]
            if strange or not given:
                raise UserError(
                    f"adapters.{what} is {list(given)}; name some of {', '.join(known)}."
                )
        if not 0 < self.ratio <= 1:
            raise UserError(f"adapters.ratio is a share above 0 and up to 1, not {self.ratio}.")
        if not 0 <= self.drop_path < 1:
            raise UserError(f"adapters.drop_path is a rate from 0 to 1, not {self.drop_path}.")


class BottleneckAdapter(nn.Module):
    """x -> [x +] up(GELU(down(x))), with an exact GELU; `up` starts at zero.

    Args:
        dim: Width D of the tower.
        ratio: The bottleneck has floor(ratio * D) units.
        skip: Whether x itself is part of the result.
    """

    def __init__(self, dim: int, ratio: float = 0.25, *, skip: bool) -> None:
        super().__init__()
        width = int(ratio * dim)
        if not width:
            raise UserError(f"adapters.ratio {ratio} leaves no unit of {dim}; choose a larger one.")
        self.down = nn.Linear(dim, width)
        self.up = nn.Linear(width, dim)
        self.skip = skip
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, states: Tensor) -> Tensor:
        """Return (..., D) for states (..., D)."""
        change = self.up(F.gelu(self.down(states)))
        return states + change if self.skip else change


class MapAdapter(nn.Module):
    """Low-dimensional queries and keys whose products are added to the frozen attention's logits.

    In head h: softmax((Q K^T + q k^T) / sqrt(d_h)) V, with q, k of width ratio * d_h and the scale
    of the frozen head. Queries and keys of both kinds are laid side by side, so that one fused
    attention gives exactly this and no (heads, L, L) tensor is made.

    Args:
        dim: Width D of the tower.
        heads: Its attention heads H, each of width D / H.
        ratio: Share of the width that the added queries (and keys) have.
        start: "zero": the queries' half starts at zero, so the first pass is exactly the frozen
            one; "near_zero": both halves are drawn from N(0, (0.01 / sqrt(d_h))^2), as published.
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        ratio: float = 0.25,
        start: Literal["zero", "near_zero"] = "zero",
    ) -> None:
        super().__init__()
        width = shared_width(dim, heads, ratio)
        self.heads, self.width = heads, width // heads
        self.project = nn.Linear(dim, 2 * width)
        nn.init.normal_(self.project.weight, std=0.01 / math.sqrt(dim / heads))
        nn.init.zeros_(self.project.bias)
        if start == "zero":
            nn.init.zeros_(self.project.weight[:width])

    def forward(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Return queries and keys, each (B, H, L, ratio * d_h), of normalized states (B, L, D)."""
        both = self.project(states).unflatten(-1, (2, self.heads, self.width))
        queries, keys = both.permute(2, 0, 3, 1, 4)
        return queries, keys


class MshaAdapter(nn.Module):
    """x -> x + a narrow multi-head self-attention of x, whose last projection starts at zero.

    As published, logits are divided by sqrt(d_h) of the tower's heads (d_h = D / H) and queries,
    keys and values start from N(0, (0.01 / sqrt(d_h))^2), their biases at zero.

    Args:
        dim: Width D of the tower.
        heads: Attention heads H.
        ratio: The attention is floor(ratio * D) wide.
        scale: Whose heads' width the logits are divided by the root of: the "tower"'s or its "own".
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        ratio: float = 0.25,
        scale: Literal["tower", "own"] = "tower",
    ) -> None:
        super().__init__()
        width = shared_width(dim, heads, ratio)
        self.heads, self.width = heads, width // heads
        self.scale = (dim / heads if scale == "tower" else self.width) ** -0.5
        self.project = nn.Linear(dim, 3 * width)
        self.up = nn.Linear(width, dim)
        nn.init.normal_(self.project.weight, std=0.01 / math.sqrt(dim / heads))
        nn.init.zeros_(self.project.bias)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, states: Tensor, mask: Tensor | None, causal: bool) -> Tensor:
        """Return (B, L, D) for states (B, L, D)."""
        parts = self.project(states).unflatten(-1, (3, self.heads, self.width))
        queries, keys, values = parts.permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(
            queries, keys, values, attn_mask=mask, is_causal=causal, scale=self.scale
        )
        return states + self.up(mixed.transpose(1, 2).flatten(2))


def shared_width(dim: int, heads: int, ratio: float) -> int:
    """Return floor(ratio * dim), if the heads can share it.

    Raises:
        UserError: they cannot.
    """
    width = int(ratio * dim)
    if width % heads or not width:
        raise UserError(
            f"adapters.ratio {ratio} gives {width} units, which {heads} heads cannot share; "
            "choose 1, 1/2, 1/4, ..."
        )
    return width


def mixed_heads(
    attention: Any, states: Tensor, more_queries: Tensor, more_keys: Tensor, **mask: Any
) -> Tensor:
    """Return (B, H, L, at least d_h): the heads of a frozen attention whose logits are added to."""
    heads = (attention.num_heads, attention.head_dim)
    queries, keys, values = (
        project(states).unflatten(-1, heads).transpose(1, 2)
        for project in (attention.q_proj, attention.k_proj, attention.v_proj)
    )
    return F.scaled_dot_product_attention(
        torch.cat([queries, more_queries], dim=-1),
        torch.cat([keys, more_keys], dim=-1),
        F.pad(values, (0, more_keys.shape[-1])),  # fused kernels want values as wide as keys
        scale=attention.scale,
        **mask,
    )


def joined_heads(attention: Any, mixed: Tensor) -> Tensor:
    """Return (B, L, D): the heads side by side, through the attention's last projection."""
    return attention.out_proj(mixed[..., : attention.head_dim].transpose(1, 2).flatten(2))


def spared(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function without keeping what it makes for the backward pass, which calls it again.

    For what is wide and cheap to make. Random draws are the same both times.
    """
    if not torch.is_grad_enabled():
        return function(*arguments)
    return checkpoint(function, *arguments, use_reentrant=False)


class AdaptedLayer(GradientCheckpointingLayer):
    """A block of a tower with adapters in it; its own parts keep their names."""

    def __init__(self, layer: Any, config: AdapterConfig) -> None:
        super().__init__()
        self.self_attn, self.mlp = layer.self_attn, layer.mlp
        self.layer_norm1, self.layer_norm2 = layer.layer_norm1, layer.layer_norm2
        dim, heads = layer.self_attn.embed_dim, layer.self_attn.num_heads
        makers = {
            "mlp": lambda: BottleneckAdapter(dim, config.ratio, skip=False),
            "attention": lambda: BottleneckAdapter(dim, config.ratio, skip=True),
            "map": lambda: MapAdapter(dim, heads, config.ratio, config.map_start),
            "msha": lambda: MshaAdapter(dim, heads, config.ratio, config.msha_scale),
        }
        made = {f"{name}_adapter": makers[name]() for name in config.modules}
        self.adapters = nn.ModuleDict(made)
        self.config = config
        self.to(layer.layer_norm1.weight.device, layer.layer_norm1.weight.dtype)
        self.train(layer.training)  # a Clip in evaluation stays in it

    def forward(
        self, hidden_states: Tensor, attention_mask: Tensor | None = None, **kwargs: Any
    ) -> Tensor:
        """Return (B, L, D) for states (B, L, D).

        Of each half only its input is kept for the backward pass, and what fused attention needs.
        """
        causal = bool(kwargs.get("is_causal")) and attention_mask is None
        normal = self.layer_norm1(hidden_states)
        if "map_adapter" in self.adapters:
            more = spared(self._more, hidden_states)
            mask = {"attn_mask": attention_mask, "is_causal": causal}
            mixed = mixed_heads(self.self_attn, normal, *more, **mask)
            change = spared(self._joined, mixed, attention_mask, causal)
        else:
            attended = self.self_attn(normal, attention_mask, **kwargs)[0]
            change = self._attended(attended, attention_mask, causal)
        hidden_states = hidden_states + change
        return hidden_states + spared(self._fed_forward, hidden_states)

    def _more(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Return the map adapter's queries and keys."""
        return self.adapters["map_adapter"](self.layer_norm1(states))

    def _joined(self, mixed: Tensor, mask: Tensor | None, causal: bool) -> Tensor:
        """Return what the attention adds, from its heads."""
        return self._attended(joined_heads(self.self_attn, mixed), mask, causal)

    def _attended(self, attended: Tensor, mask: Tensor | None, causal: bool) -> Tensor:
        """Return what the attention adds, from its output."""
        if "attention_adapter" in self.adapters:
            attended = self.adapters["attention_adapter"](attended)
        if "msha_adapter" in self.adapters:
            attended = self.adapters["msha_adapter"](attended, mask, causal)
        return attended

    def _fed_forward(self, states: Tensor) -> Tensor:
        """Return what the MLP and the adapter beside it add."""
        normal = self.layer_norm2(states)
        change = self.mlp.plain(normal)
        if "mlp_adapter" in self.adapters:
            branch = self.adapters["mlp_adapter"](normal)
            if self.training:
                branch = drop_path(branch, self.config.drop_path, self.config.drop_path_axis)
            change = change + branch
        return change


def drop_path(
    branch: Tensor, rate: float, axis: Literal["sample", "position"] = "sample"
) -> Tensor:
    """Return (B, L, D) with whole samples at zero, drawn at `rate`, and the rest scaled up.

    With `axis` "position" it is whole positions of all samples, which is what the authors' code
    does with its (L, B, D) layout.
    """
    if not rate:
        return branch
    samples, positions = branch.shape[:2]
    shape = (samples, 1, 1) if axis == "sample" else (1, positions, 1)
    kept = torch.rand(shape, device=branch.device) >= rate
    return branch * (kept.to(branch.dtype) / (1 - rate))


def attach_adapters(network: CLIPModel, config: AdapterConfig) -> list[nn.Parameter]:
    """Put adapters into every block of the towers that `config` names, in place.

    Returns:
        The new parameters.
    """
    made = replace_blocks(network, config.towers, lambda layer: AdaptedLayer(layer, config))
    return [parameter for block in made for parameter in block.adapters.parameters()]
