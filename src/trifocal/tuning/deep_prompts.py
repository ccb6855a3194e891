"""Deep visual prompt tuning (VPT): learned tokens in front of every block's input.

Jia et al., ECCV 2022 (arXiv 2203.12119), the deep form: a block reads k tokens of its own beside
what the block before it made, and they are dropped after it. In the text tower they stand behind
the start of text, where every later position sees them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from transformers import CLIPModel
from transformers.modeling_layers import GradientCheckpointingLayer

from trifocal.clip.towers import replace_blocks
from trifocal.errors import UserError


@dataclass(frozen=True)
class DeepPromptConfig:
    """How many tokens, and where.

    Attributes:
        tokens: Tokens in front of a block, k; k * D parameters a block.
        towers: Whose blocks get them.
    """

    tokens: int = 10
    towers: tuple[Literal["vision", "text"], ...] = ("vision",)

    def __post_init__(self) -> None:
        if self.tokens < 1:
            raise UserError(f"prompts.tokens is {self.tokens}; at least one is needed.")


class PromptedLayer(GradientCheckpointingLayer):
    """A block of a tower that reads learned tokens after the first position."""

    def __init__(self, layer: Any, tokens: int) -> None:
        super().__init__()
        self.self_attn, self.mlp = layer.self_attn, layer.mlp
        self.layer_norm1, self.layer_norm2 = layer.layer_norm1, layer.layer_norm2
        weight = layer.layer_norm1.weight
        self.prompts = nn.Parameter(torch.empty(tokens, len(weight)).to(weight))
        nn.init.normal_(self.prompts, std=0.02)
        self.train(layer.training)  # a Clip in evaluation stays in it

    def forward(
        self, hidden_states: Tensor, attention_mask: Tensor | None = None, **kwargs: Any
    ) -> Tensor:
        """Return (B, L, D) for states (B, L, D)."""
        if attention_mask is not None:
            raise UserError(
                "prompt tokens need a fused attention; load the model with attention 'sdpa'."
            )
        count = len(self.prompts)
        prompts = self.prompts.expand(len(hidden_states), -1, -1)
        states = torch.cat([hidden_states[:, :1], prompts, hidden_states[:, 1:]], dim=1)
        states = states + self.self_attn(self.layer_norm1(states), None, **kwargs)[0]
        states = states + self.mlp(self.layer_norm2(states))
        return torch.cat([states[:, :1], states[:, 1 + count :]], dim=1)


def attach_deep_prompts(network: CLIPModel, config: DeepPromptConfig) -> list[nn.Parameter]:
    """Put learned tokens in front of every block of some towers, in place; return them."""
    made = replace_blocks(network, config.towers, lambda layer: PromptedLayer(layer, config.tokens))
    return [block.prompts for block in made]
