"""One forward pass through each of CLIP's two towers, over transformers' modules.

Everything that is particular to CLIP's towers is here: where the modules lie, that the text tower
is causal (so padding may be cut off), and how its position table is stretched. Another family of
towers (SigLIP) is another file with these functions; nothing else asks what a tower is made of.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint
from transformers import CLIPConfig, CLIPModel
from transformers.activations import QuickGELUActivation
from transformers.masking_utils import create_causal_mask

TEXT_IS_CAUSAL = True
"""No position sees a later one, so cutting the padding changes nothing."""


class QuickGelu(nn.Module):
    """x * sigmoid(1.702 x), OpenAI's activation, as silu(1.702 x) / 1.702.

    The same function; but silu is one fused pass that keeps one tensor for the backward pass,
    where the product keeps two, each four times as wide as the tower.
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.silu(x * 1.702).mul_(1 / 1.702)


class LeanMlp(nn.Module):
    """A block's MLP that does not keep its activations for the backward pass.

    They are the widest tensors of a block and the cheapest to make again: only the activation
    runs twice, the products do not.
    """

    def __init__(self, mlp: Any) -> None:
        super().__init__()
        self.fc1, self.activation_fn, self.fc2 = mlp.fc1, mlp.activation_fn, mlp.fc2

    def forward(self, states: Tensor) -> Tensor:
        wide = self.fc1(states)
        if not torch.is_grad_enabled():
            return self._finish(wide)
        # The second run stops as soon as it has what was dropped, that is before `fc2`.
        return checkpoint(self._finish, wide, use_reentrant=False)

    def _finish(self, wide: Tensor) -> Tensor:
        return self.fc2(self.activation_fn(wide))


def make_lean(network: CLIPModel) -> None:
    """Replace the blocks' MLPs by ones of the same weights that need less memory in training."""
    for tower in (network.vision_model, network.text_model):
        for layer in tower.encoder.layers:
            layer.mlp = LeanMlp(layer.mlp)
            if isinstance(layer.mlp.activation_fn, QuickGELUActivation):
                layer.mlp.activation_fn = QuickGelu()


def tower_configs(config: CLIPConfig) -> tuple[Any, Any]:
    """Return the configurations of the image tower and the text tower.

    In a finished configuration both are objects; transformers' annotations also allow tables.
    """
    return config.vision_config, config.text_config


def image_states(network: CLIPModel, pixels: Tensor) -> Tensor:
    """Return the last layer's states (B, 1 + P, W) of normalized pixels (B, 3, H, W)."""
    tower = network.vision_model
    embeddings = tower.embeddings
    weight = embeddings.patch_embedding.weight  # (W, 3, size, size)
    if not len(pixels):  # transformers cannot reshape an empty batch
        height, width = (n // size for n, size in zip(pixels.shape[2:], weight.shape[2:]))
        return weight.new_zeros(0, 1 + height * width, len(weight))
    patches = embeddings.patch_embedding(pixels.to(weight.dtype))  # (B, W, rows, columns)
    rows, columns = patches.shape[-2:]
    patches = patches.flatten(2).transpose(1, 2)
    cls = embeddings.class_embedding.expand(len(pixels), 1, -1)
    states = torch.cat([cls.to(patches.dtype), patches], dim=1)
    table = embeddings.position_embedding.weight
    states = states + resample_positions(table, rows, columns)
    states = tower.pre_layrnorm(states)
    return tower.encoder(inputs_embeds=states).last_hidden_state


def project_image(network: CLIPModel, states: Tensor) -> Tensor:
    """Bring states (..., W) of any image token into the joint space (..., D)."""
    return network.visual_projection(network.vision_model.post_layernorm(states))


def text_states(network: CLIPModel, ids: Tensor) -> Tensor:
    """Return the last layer's states (T, L, W) of ids (T, L)."""
    tower = network.text_model
    states = tower.embeddings(input_ids=ids)
    if not len(ids):
        return states
    # None where the attention kernel is told "causal" instead; a table for other kernels.
    mask = create_causal_mask(
        config=tower.config, inputs_embeds=states, attention_mask=None, past_key_values=None
    )
    encoded = tower.encoder(inputs_embeds=states, attention_mask=mask, is_causal=True)
    return encoded.last_hidden_state


def project_text(network: CLIPModel, states: Tensor) -> Tensor:
    """Bring states (..., W) of any text position into the joint space (..., D)."""
    return network.text_projection(network.text_model.final_layer_norm(states))


def resample_positions(table: Tensor, rows: int, columns: int) -> Tensor:
    """Return the position table (1 + P, W) of a square grid, stretched to rows x columns.

    Bicubic and antialiased, as open_clip resizes a table; the table itself at its own size.
    CLS keeps its position.
    """
    side = round((len(table) - 1) ** 0.5)
    if (rows, columns) == (side, side):
        return table
    grid = table[1:].float().T.reshape(1, -1, side, side)
    grid = F.interpolate(
        grid, size=(rows, columns), mode="bicubic", antialias=True, align_corners=False
    )
    return torch.cat([table[:1], grid.flatten(2)[0].T.to(table.dtype)])
