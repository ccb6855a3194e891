"""A CLIP around a pre-trained image tower: locked-image tuning begins here.

LiT (Zhai et al., CVPR 2022, arXiv 2111.07991) keeps a pre-trained image tower as it is and trains a
fresh text tower to match it. The result is an ordinary CLIP.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import CLIPConfig, CLIPModel

from trifocal.clip.image_tower import ImageTower
from trifocal.clip.model import Clip
from trifocal.clip.shape import NORM_EPS, Activation
from trifocal.clip.tokenizer import Tokenizer
from trifocal.clip.trained_on import TrainedOn
from trifocal.errors import UserError


@dataclass(frozen=True)
class TextShape:
    """A text tower's architecture; the defaults are ViT-B-32's.

    Attributes:
        width, layers, heads: of its blocks; heads None means width / 64.
        context_length: ids a text may have.
        vocab_size: ids at most, where the vocabulary is learned from the data.
        activation: None for the image tower's, which open_clip's files ask for.
    """

    width: int = 512
    layers: int = 12
    heads: int | None = None
    context_length: int = 77
    vocab_size: int = 1024
    activation: Activation | None = None

    def __post_init__(self) -> None:
        heads = self.heads or self.width // 64
        if min(self.width, self.layers, heads) < 1 or self.width % heads:
            raise UserError(
                f"model.text has width {self.width}, {self.layers} layers and {heads} heads; the "
                "width must be a multiple of the heads, and none of them 0."
            )
        if self.context_length < 3:
            raise UserError(f"model.text.context_length is {self.context_length}; give 3 or more.")


def build_around(
    tower: ImageTower,
    text: TextShape,
    tokenizer: Tokenizer,
    *,
    embed_dim: int | None = None,
    seed: int = 0,
    name: str = "own",
) -> Clip:
    """Build a Clip of an image tower and a text tower with random weights.

    The projection of the images is the tower's own where it came with one of that width. Else it
    keeps all lengths and angles if the joint space is as wide as the tower or wider (the identity
    if as wide), so that a frozen tower is seen as it is.

    Args:
        tower: The image tower; its tensors become the model's.
        text: The text tower's shape.
        tokenizer: Captions to ids.
        embed_dim: Width of the joint space; by default that of the tower's projection, or its own.
        seed: Of the random weights.
        name: The Clip's.

    Raises:
        UserError: the tower's tensors do not fit its configuration.
    """
    width = embed_dim or (len(tower.projection) if tower.projection is not None else tower.width)
    config = CLIPConfig(
        projection_dim=width,
        vision_config={**tower.config.to_dict(), "projection_dim": width},
        text_config={
            "hidden_size": text.width,
            "intermediate_size": 4 * text.width,
            "num_hidden_layers": text.layers,
            "num_attention_heads": text.heads or text.width // 64,
            "projection_dim": width,
            "hidden_act": text.activation or tower.config.hidden_act,
            "layer_norm_eps": NORM_EPS,
            "vocab_size": tokenizer.vocab_size,
            "max_position_embeddings": text.context_length,
            "bos_token_id": tokenizer.sot_id,
            "eos_token_id": tokenizer.eot_id,
            "pad_token_id": tokenizer.eot_id,
        },
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = CLIPModel(config)
        projection = tower.projection
        if projection is None or len(projection) != width:
            projection = _isometry(width, tower.width)
    _load_vision(
        network, {**tower.state, "visual_projection.weight": projection}, str(tower.folder)
    )
    clip = Clip(network.eval(), tokenizer, tower.preprocess, name)
    clip.trained_on = TrainedOn.read(tower.folder)
    return clip


@torch.no_grad()
def standardize(clip: Clip, mean: Tensor, deviation: Tensor) -> None:
    """Fold into the image tower's last norm that each of its outputs has mean 0 and deviation 1.

    Args:
        clip: The model, changed in place.
        mean, deviation: (W,) of `image_features(..., projected=False)` over some pictures.
    """
    norm = clip.network.vision_model.post_layernorm
    norm.bias.sub_(mean.to(norm.bias)).div_(deviation.to(norm.bias))
    norm.weight.div_(deviation.to(norm.weight))


def _isometry(rows: int, columns: int) -> Tensor:
    """Return (rows, columns): the identity, or a random matrix of orthonormal columns (or rows)."""
    if rows == columns:
        return torch.eye(rows)
    return nn.init.orthogonal_(torch.empty(rows, columns))


def _load_vision(network: CLIPModel, state: dict[str, Tensor], source: str) -> None:
    """Put an image tower's tensors, and nothing else, into a network."""
    expected = network.state_dict()
    wanted = [key for key in expected if key.startswith(("vision_model.", "visual_projection."))]
    for key in [*wanted, *state]:
        if key not in state:
            raise UserError(f"{source} is not a complete image tower: it lacks {key!r}.")
        if key not in expected:
            raise UserError(f"{source} is no image tower of a CLIP: it has {key!r} besides.")
        if state[key].shape != expected[key].shape:
            got, shape = tuple(state[key].shape), tuple(expected[key].shape)
            raise UserError(f"{source} does not fit: {key!r} has shape {got}, not {shape}.")
    network.load_state_dict(state, strict=False)
