"""Low-rank adaptation of both towers (Hu et al., ICLR 2022), through peft.

The factor B starts at zero, so the adapted model equals its frozen base before the first step.
What acts is the scaling alpha / rank, not alpha alone: FSC-CLIP uses rank 4 and alpha 1, hence
1/4, with ten times the learning rate of full fine-tuning (arXiv 2410.05210, training details). The
rank-stabilized form divides by sqrt(rank) instead (Kalajdzievski 2023, arXiv 2312.03732); CLIP-LoRA
uses it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import nn

from trifocal.errors import UserError

_TOWERS = ("vision", "text")
_LINEAR = ("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2")


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
    """

    rank: int = 4
    alpha: float = 1.0
    dropout: float = 0.0
    patch_embedding: bool = False
    targets: tuple[str, ...] = _LINEAR
    rank_stabilized: bool = False
    towers: tuple[Literal["vision", "text"], ...] = _TOWERS

    def __post_init__(self) -> None:
        strange = [name for name in self.targets if name not in _LINEAR]
        if strange or not self.targets:
            raise UserError(
                f"lora.targets is {list(self.targets)}; name some of {', '.join(_LINEAR)}."
            )
        if set(self.towers) - set(_TOWERS) or not self.towers:
            raise UserError(f"lora.towers is {list(self.towers)}; name vision, text, or both.")


def apply_lora(network: nn.Module, config: LoraConfig) -> nn.Module:
    """Put zero-initialized factors beside the linear layers that `config` names, in place.

    Everything but the factors is frozen, the logit scale included.

    Args:
        network: A `transformers.CLIPModel` (or any module with its layer names).
        config: Shape and place.

    Returns:
        The same module.
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
    for name, parameter in network.named_parameters():
        parameter.requires_grad_("lora_" in name)
    return network


def merge_lora(network: nn.Module) -> nn.Module:
    """Add every update scaling * B A to its weight and remove the factors, in place.

    Returns:
        The same module, with the layers it had before `apply_lora`.
    """
    from peft.tuners.lora import LoraLayer

    for name, module in list(network.named_modules()):
        if isinstance(module, LoraLayer):
            module.merge()  # pyright: ignore[reportCallIssue]  # every concrete LoRA layer has it
            parent_name, _, child = name.rpartition(".")
            setattr(network.get_submodule(parent_name), child, module.get_base_layer())
    for module in network.modules():
        if hasattr(module, "peft_config"):
            del module.peft_config
    return network
