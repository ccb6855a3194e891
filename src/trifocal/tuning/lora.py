"""Low-rank adaptation of both towers (Hu et al., ICLR 2022), through peft.

The factor B starts at zero, so the adapted model equals its frozen base before the first step.
What acts is the scaling alpha / rank, not alpha alone: FSC-CLIP uses rank 4 and alpha 1, hence
1/4, with ten times the learning rate of full fine-tuning (arXiv 2410.05210, training details). The
rank-stabilized form divides by sqrt(rank) instead (Kalajdzievski 2023, arXiv 2312.03732); CLIP-LoRA
uses it.

FSC-CLIP's released code places the factors otherwise than peft (`layout="published"`): queries, keys
and values of a block share one A, since open_clip packs them into one projection, and the patch
convolution gets loralib's form, which is not of low rank.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trifocal.errors import UserError

_TOWERS = ("vision", "text")
_PACKED = ("q_proj", "k_proj", "v_proj")  # one in-projection in open_clip
_LINEAR = (*_PACKED, "out_proj", "fc1", "fc2")


@dataclass(frozen=True)
class LoraConfig:
    """Shape and place of the low-rank factors.

    Attributes:
        rank: Width of the bottleneck.
        alpha: The update is scaled by alpha / rank.
        rank_stabilized: Scale it by alpha / sqrt(rank) instead.
        dropout: On the adapters' input, during training.
        patch_embedding: Adapt the patch convolution too (a rank-`rank` convolution followed by a
            1x1 one, which is truly low-rank).
        targets: The linear layers that get factors, by their name in a block.
        towers: Whose blocks get them.
        layout: "separate" gives every layer factors of its own; "published" is that of FSC-CLIP's
            released code: one A for queries, keys and values, and the patch convolution in
            loralib's form (4 141 056 trained numbers at ViT-B/32 and rank 4, 1 105 920 without
            either). Both start at exactly zero.
    """

    rank: int = 4
    alpha: float = 1.0
    dropout: float = 0.0
    patch_embedding: bool = False
    targets: tuple[str, ...] = _LINEAR
    rank_stabilized: bool = False
    towers: tuple[Literal["vision", "text"], ...] = _TOWERS
    layout: Literal["separate", "published"] = "separate"

    def __post_init__(self) -> None:
        strange = [name for name in self.targets if name not in _LINEAR]
        if strange or not self.targets:
            raise UserError(
                f"lora.targets is {list(self.targets)}; name some of {', '.join(_LINEAR)}."
            )
        if set(self.towers) - set(_TOWERS) or not self.towers:
            raise UserError(f"lora.towers is {list(self.towers)}; name vision, text, or both.")
        if self.layout == "published" and (self.patch_embedding or set(self.targets) != {*_LINEAR}):
            raise UserError(
                "lora.layout 'published' adapts every linear layer and the patches in its own way; "
                "leave lora.targets and lora.patch_embedding out."
            )

    @property
    def scaling(self) -> float:
        """What an update is multiplied by."""
        return self.alpha / (self.rank**0.5 if self.rank_stabilized else self.rank)


class ConvFactors(nn.Module):
    """A frozen convolution, square and without groups, and its update in loralib's form.

    The update is of rank r and multiplied by `scaling`.

    With k x k kernels the factors are A (r k, in k) and B (out k, r k); the update B A, read as the
    kernel's (out, in, k, k), has a rank of up to min(r, in) k.
    """

    def __init__(self, base: nn.Conv2d, rank: int, scaling: float) -> None:
        super().__init__()
        self.base_layer, self.scaling = base, scaling
        inner, kernel = rank * base.kernel_size[0], base.kernel_size[0]
        self.lora_A = nn.Parameter(base.weight.new_empty(inner, base.in_channels * kernel))
        self.lora_B = nn.Parameter(base.weight.new_zeros(base.out_channels * kernel, inner))
        nn.init.kaiming_uniform_(self.lora_A, a=5**0.5)

    @property
    def weight(self) -> Tensor:
        """The kernel with its update, (out, in, k, k)."""
        update = (self.lora_B @ self.lora_A).view_as(self.base_layer.weight)
        return self.base_layer.weight + self.scaling * update

    def forward(self, pixels: Tensor) -> Tensor:
        """Convolve."""
        base: Any = self.base_layer
        return F.conv2d(pixels, self.weight, base.bias, base.stride, base.padding)


def apply_lora(network: nn.Module, config: LoraConfig) -> nn.Module:
    """Put zero-initialized factors beside the linear layers that `config` names, in place.

    The network is a `transformers.CLIPModel` (or any module with its layer names), and is returned.
    Everything but the factors is frozen, the logit scale included.
    """
    import peft

    targets: list[str] = [*config.targets]
    if config.patch_embedding:
        targets.append("patch_embedding")
    spared = [name for name in _TOWERS if name not in config.towers]
    settings = peft.LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,  # pyright: ignore[reportArgumentType]  # peft divides it; a float is exact
        lora_dropout=config.dropout,
        target_modules=targets,
        exclude_modules=rf"({'|'.join(spared)})_model\..*" if spared else None,
        use_rslora=config.rank_stabilized,
        bias="none",
    )
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    peft.inject_adapter_in_model(settings, network)
    if config.layout == "published":
        _as_published(network, config)
    for name, parameter in network.named_parameters():
        parameter.requires_grad_("lora_" in name)
    return network


def _as_published(network: nn.Module, config: LoraConfig) -> None:
    """Let queries, keys and values share their first factor; adapt the patch convolution."""
    for block in list(network.modules()):
        layers = [layer for name in _PACKED if (layer := getattr(block, name, None)) is not None]
        factors: list[Any] = [
            layer.lora_A["default"] for layer in layers if hasattr(layer, "lora_A")
        ]
        for factor in factors[1:]:
            factor.weight = factors[0].weight
        patches = getattr(block, "patch_embedding", None)
        if "vision" in config.towers and isinstance(patches, nn.Conv2d):
            block.patch_embedding = ConvFactors(patches, config.rank, config.scaling)


def merge_lora(network: nn.Module) -> nn.Module:
    """Add every update scaling * B A to its weight and remove the factors, in place.

    The same module is returned, with the layers it had before `apply_lora`.
    """
    from peft.tuners.lora import LoraLayer

    for name, module in list(network.named_modules()):
        if isinstance(module, LoraLayer):
            module.merge()  # pyright: ignore[reportCallIssue]  # every concrete LoRA layer has it
            base = module.get_base_layer()
        elif isinstance(module, ConvFactors):
            base = module.base_layer
            with torch.no_grad():
                base.weight.copy_(module.weight)
        else:
            continue
        parent_name, _, child = name.rpartition(".")
        setattr(network.get_submodule(parent_name), child, base)
    for module in network.modules():
        if hasattr(module, "peft_config"):
            del module.peft_config
    return network


@contextlib.contextmanager
def without_lora(network: nn.Module) -> Iterator[None]:
    """Let a network compute without its updates for the block; nothing of it is merged or lost."""
    from peft.tuners.lora import LoraLayer

    layers: list[Any] = [m for m in network.modules() if isinstance(m, LoraLayer)]
    convolutions = [m for m in network.modules() if isinstance(m, ConvFactors)]
    scalings = [convolution.scaling for convolution in convolutions]
    # peft's own switch would also take the factors' gradients away.
    for layer in layers:
        layer._disable_adapters = True
    for convolution in convolutions:
        convolution.scaling = 0.0
    try:
        yield
    finally:
        for layer in layers:
            layer._disable_adapters = False
        for convolution, scaling in zip(convolutions, scalings):
            convolution.scaling = scaling
