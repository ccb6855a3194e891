"""A CLIP with random weights, and starts for a training from few pictures.

Positions may start as waves, and a text tower may be drawn anew.
"""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import CLIPModel

from trifocal.clip.model import Clip
from trifocal.clip.preprocess import Preprocess
from trifocal.clip.shape import ClipShape
from trifocal.clip.tokenizer import Tokenizer

_AMPLITUDE = 0.5  # against patch embeddings of about unit size
_TEXT_GAIN = 3.0  # of the layers' matrices; with 1 a random tower hears little of word order
_LONGEST_WAVE = 100.0  # in patches, over 2 pi; grids of small models are a few patches wide


def build_clip(
    shape: ClipShape,
    tokenizer: Tokenizer,
    preprocess: Preprocess | None = None,
    *,
    seed: int = 0,
    name: str = "random",
) -> Clip:
    """Build a Clip of `shape` with random weights that depend on `seed` alone."""
    clip = Clip.from_config(shape.config(tokenizer), tokenizer, preprocess, seed=seed, name=name)
    if shape.positions == "waves":
        start_with_waves(clip.network, seed)
    return clip


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


@torch.no_grad()
def renew_text(network: CLIPModel, seed: int) -> None:
    """Draw the text tower, its projection and the logit scale anew; the image tower stays.

    Unlike a trained bag of words, a tower with random weights tells word orders apart, and an
    image tower can be trained on that while the text tower waits (`schedule.text_from`).
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        fresh = CLIPModel(network.config)
    for name, parameter in fresh.text_model.named_parameters():
        if parameter.ndim == 2 and ".layers." in f".{name}":
            parameter *= _TEXT_GAIN
    network.text_model.load_state_dict(fresh.text_model.state_dict())
    network.text_projection.load_state_dict(fresh.text_projection.state_dict())
    network.logit_scale.copy_(fresh.logit_scale)
