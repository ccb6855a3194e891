"""A start for an image tower that has to learn from few pictures."""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import CLIPModel

_AMPLITUDE = 0.5  # against patch embeddings of about unit size
_LONGEST_WAVE = 100.0  # in patches, over 2 pi; grids of small models are a few patches wide


@torch.no_grad()
def start_with_waves(network: CLIPModel, seed: int) -> None:
    """Give patch positions sine and cosine waves to start from; they stay trainable.

    Neighbors start alike, so the tower need not learn from data which patches lie side by side
    (as in Chen et al. 2021, arXiv 2104.02057, where the waves are kept fixed). The patch filters
    are drawn at PyTorch's scale for convolutions, so that patches are heard beside positions.
    """
    embeddings = network.vision_model.embeddings
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        embeddings.patch_embedding.reset_parameters()
    side = round(embeddings.num_patches**0.5)
    table = embeddings.position_embedding.weight
    table[1:] = _AMPLITUDE * waves(side, side, table.shape[1])


def waves(rows: int, columns: int, width: int) -> Tensor:
    """Return (rows * columns, width) sine and cosine positions, half for rows, half for columns.

    Raises:
        ValueError: `width` is not a multiple of 4.
    """
    if width % 4:
        raise ValueError(f"sine and cosine positions need a width that 4 divides, not {width}")
    frequencies = _LONGEST_WAVE ** -(torch.arange(width // 4) / (width // 4))
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    phases = [axis.reshape(-1, 1) * frequencies for axis in (y, x)]
    return torch.cat([wave for p in phases for wave in (p.sin(), p.cos())], dim=1)
