"""One forward pass through each of CLIP's two towers, over transformers' modules.

Everything that is particular to CLIP's towers is here: where the modules lie, that the text tower
is causal (so padding may be cut off), and how its position table is stretched. Another family of
towers (SigLIP) is another file with these functions; nothing else asks what a tower is made of.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint
from transformers import CLIPConfig, CLIPModel
from transformers.activations import QuickGELUActivation
from transformers.masking_utils import create_causal_mask

Block = TypeVar("Block", bound=nn.Module)

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

    def plain(self, states: Tensor) -> Tensor:
        """Return the same, with all activations kept."""
        return self._finish(self.fc1(states))

    def _finish(self, wide: Tensor) -> Tensor:
        return self.fc2(self.activation_fn(wide))


def make_lean(network: CLIPModel) -> None:
    """Replace the blocks' MLPs by ones of the same weights that need less memory in training."""
    for tower in (network.vision_model, network.text_model):
        for layer in tower.encoder.layers:
            layer.mlp = LeanMlp(layer.mlp)
            if isinstance(layer.mlp.activation_fn, QuickGELUActivation):
                layer.mlp.activation_fn = QuickGelu()


def replace_blocks(
    network: CLIPModel, towers: Sequence[str], make: Callable[[Any], Block]
) -> list[Block]:
    """Replace every block of the "vision" or "text" tower by what `make` makes of it, in place.

    Returns:
        The new blocks.
    """
    by_name: dict[str, Any] = {"vision": network.vision_model, "text": network.text_model}
    made = []
    for name in towers:
        layers = by_name[name].encoder.layers
        for index, layer in enumerate(layers):
            layers[index] = make(layer)
            made.append(layers[index])
    return made


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
    if not pixels.shape[0]:  # transformers cannot reshape an empty batch
        height, width = (n // size for n, size in zip(pixels.shape[2:], weight.shape[2:]))
        return weight.new_zeros(0, 1 + height * width, len(weight))
    patches = embeddings.patch_embedding(pixels.to(weight.dtype))  # (B, W, rows, columns)
    rows, columns = patches.shape[-2:]
    patches = patches.flatten(2).transpose(1, 2)
    cls = embeddings.class_embedding.expand(pixels.shape[0], 1, -1)
    states = torch.cat([cls.to(patches.dtype), patches], dim=1)
    states = states + position_table(embeddings, rows, columns)
    states = tower.pre_layrnorm(states)
    return tower.encoder(inputs_embeds=states).last_hidden_state


def project_image(network: CLIPModel, states: Tensor) -> Tensor:
    """Bring states (..., W) of any image token into the joint space (..., D)."""
    return network.visual_projection(finish_image(network, states))


def finish_image(network: CLIPModel, states: Tensor) -> Tensor:
    """Return states (..., W) of any image token as the projection takes them."""
    return network.vision_model.post_layernorm(states)


def text_states(network: CLIPModel, ids: Tensor, lengths: Tensor | None = None) -> Tensor:
    """Return the last layer's states (T, L, W) of ids (T, L).

    Args:
        network: The model. Vectors that it reads among the words of a text (`embeddings.context`)
            have no states of their own here.
        ids: The texts.
        lengths: (T,) where each text ends; by default none is padded.
    """
    tower, places = network.text_model, None
    context = getattr(tower.embeddings, "context", None)
    if context is None:
        states = tower.embeddings(input_ids=ids)
    else:
        lengths = ids.new_full((len(ids),), ids.shape[1]) if lengths is None else lengths
        words, places = context(tower.embeddings.token_embedding(ids), ids, lengths)
        states = tower.embeddings(inputs_embeds=words)
    if not ids.shape[0]:
        return states
    # None where the attention kernel is told "causal" instead; a table for other kernels.
    mask = None
    if not torch.compiler.is_exporting():  # where a table would hold this batch's size for ever
        # By place: the last, a cache, has another name in transformers 5.24.
        mask = create_causal_mask(tower.config, states, None, None)
    encoded = tower.encoder(inputs_embeds=states, attention_mask=mask, is_causal=True)
    states = encoded.last_hidden_state
    return states if places is None else states.take_along_dim(places[..., None], dim=1)


def project_text(network: CLIPModel, states: Tensor) -> Tensor:
    """Bring states (..., W) of any text position into the joint space (..., D)."""
    return network.text_projection(network.text_model.final_layer_norm(states))


def position_table(embeddings: Any, rows: int, columns: int) -> Tensor:
    """Return the image tower's positions (1 + rows * columns, W) for a grid of patches."""
    table = embeddings.position_embedding.weight
    grid = getattr(embeddings, "position_grid", None) or _square(table)
    halves = getattr(embeddings, "half_embedding", None)
    if halves is not None:
        wide = grid[1] > grid[0]
        half = halves.repeat_interleave(grid[int(wide)] // 2, dim=0)  # (grid[wide], W)
        half = half.unsqueeze(0 if wide else 1).expand(*grid, -1).flatten(0, 1)
        table = torch.cat([table[:1], table[1:] + half])
    return resample_positions(table, rows, columns, grid)


def stretch_positions(network: CLIPModel, rows: int, columns: int, *, tile: bool = False) -> None:
    """Give the image tower a position table of its own for a grid of rows x columns, in place.

    The table starts as the present one stretched to that grid, so nothing changes for pictures of
    this shape; from then on it can be trained there.

    Args:
        network: The model.
        rows, columns: The grid, twice as high as wide or twice as wide as high for `tile`.
        tile: Give both halves of the grid the positions of a whole picture instead, and add to
            each half an embedding that starts at zero.
    """
    embeddings: Any = network.vision_model.embeddings
    with torch.no_grad():
        if tile:
            if rows not in (2 * columns, columns // 2) or (rows < columns and columns % 2):
                raise ValueError(f"two square halves do not make {rows} x {columns} patches")
            side, axis = min(rows, columns), 0 if rows > columns else 1
            single = position_table(embeddings, side, side)
            grid = single[1:].unflatten(0, (side, side))
            double = torch.cat([grid, grid], dim=axis).flatten(0, 1)
            table = torch.cat([single[:1], double])
        else:
            table = position_table(embeddings, rows, columns).clone()
    embeddings.position_embedding = nn.Embedding.from_pretrained(table, freeze=False)
    embeddings.position_grid = (rows, columns)
    if tile:
        embeddings.half_embedding = nn.Parameter(table.new_zeros(2, table.shape[1]))


def resample_positions(
    table: Tensor, rows: int, columns: int, grid: tuple[int, int] | None = None
) -> Tensor:
    """Return the position table (1 + P, W) of a grid (a square one), stretched to rows x columns.

    Bicubic and antialiased, as open_clip resizes a table; the table itself at its own size.
    CLS keeps its position.
    """
    grid = grid or _square(table)
    if (rows, columns) == grid:
        return table
    places = table[1:].float().T.reshape(1, -1, *grid)
    places = F.interpolate(
        places, size=(rows, columns), mode="bicubic", antialias=True, align_corners=False
    )
    return torch.cat([table[:1], places.flatten(2)[0].T.to(table.dtype)])


def _square(table: Tensor) -> tuple[int, int]:
    """Return the grid of a table (1 + P, W) of a square picture."""
    side = round((len(table) - 1) ** 0.5)
    return side, side
