"""A CLIP's architecture in a few numbers.

The layout is OpenAI's (Radford et al. 2021): two pre-norm transformers, heads of 64 dimensions
unless said otherwise, an MLP four times the width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from transformers import CLIPConfig

from trifocal.clip.tokenizer import Tokenizer
from trifocal.clip.towers import tower_configs
from trifocal.errors import UserError

Activation = Literal["quick_gelu", "gelu"]
CLIP_VOCABULARY = 49408
NORM_EPS = 1e-5  # of both towers' layer norms, unless said otherwise


@dataclass(frozen=True)
class ClipShape:
    """What a CLIP's towers look like. The defaults are ViT-B-32.

    Attributes:
        image_size: side of the (square) images in pixels.
        patch_size: side of a patch in pixels.
        vision_width, vision_layers, vision_heads: the image tower; heads None means width / 64.
        text_width, text_layers, text_heads: the text tower.
        embed_dim: width of the joint space.
        vocab_size: ids the text tower knows; None means the tokenizer's, else CLIP's 49 408.
        context_length: ids a text may have.
        activation: of both towers.
        vision_eps, text_eps: epsilon of the towers' layer norms.
        positions: how the image tower's positions start where weights are drawn at random: as
            transformers draws them, or as "waves", from which it learns sooner.
    """

    image_size: int = 224
    patch_size: int = 32
    vision_width: int = 768
    vision_layers: int = 12
    vision_heads: int | None = None
    text_width: int = 512
    text_layers: int = 12
    text_heads: int | None = None
    embed_dim: int = 512
    vocab_size: int | None = None
    context_length: int = 77
    activation: Activation = "quick_gelu"
    vision_eps: float = NORM_EPS
    text_eps: float = NORM_EPS
    positions: Literal["random", "waves"] = "random"

    def __post_init__(self) -> None:
        if self.image_size % self.patch_size:
            raise UserError(
                f"image_size {self.image_size} is not a multiple of patch_size {self.patch_size}."
            )
        for tower in ("vision", "text"):
            width, heads = getattr(self, f"{tower}_width"), self.heads(tower)
            if heads < 1 or width % heads:
                raise UserError(f"{tower}_width {width} cannot be split into {heads} heads.")
        if self.positions == "waves" and self.vision_width % 4:
            raise UserError(f"waves need a vision_width that 4 divides, not {self.vision_width}.")

    def heads(self, tower: str) -> int:
        """Return the number of attention heads of the "vision" or the "text" tower."""
        return getattr(self, f"{tower}_heads") or getattr(self, f"{tower}_width") // 64

    def config(self, tokenizer: Tokenizer | None = None) -> CLIPConfig:
        """Return the transformers configuration; special ids are the tokenizer's, or the last."""
        vocab = self.vocab_size or (tokenizer.vocab_size if tokenizer else CLIP_VOCABULARY)
        sot, eot = (tokenizer.sot_id, tokenizer.eot_id) if tokenizer else (vocab - 2, vocab - 1)
        return CLIPConfig(
            projection_dim=self.embed_dim,
            text_config={
                **self._tower("text"),
                "vocab_size": vocab,
                "max_position_embeddings": self.context_length,
                "bos_token_id": sot,
                "eos_token_id": eot,
                "pad_token_id": eot,
            },
            vision_config={
                **self._tower("vision"),
                "image_size": self.image_size,
                "patch_size": self.patch_size,
            },
        )

    @classmethod
    def of(cls, config: CLIPConfig) -> ClipShape:
        """Return the shape of a transformers configuration.

        Raises:
            UserError: its towers are not in OpenAI's layout.
        """
        vision, text = tower_configs(config)
        activations = {text.hidden_act, vision.hidden_act}
        if len(activations) > 1 or not activations <= {"quick_gelu", "gelu"}:
            raise UserError(f"open_clip has no towers with activations {sorted(activations)}.")
        for tower in (text, vision):
            if tower.intermediate_size != 4 * tower.hidden_size:
                raise UserError(
                    f"an MLP of {tower.intermediate_size} in a tower of {tower.hidden_size} "
                    "is not in OpenAI's layout (four times the width)."
                )
        return cls(
            image_size=vision.image_size,
            patch_size=vision.patch_size,
            vision_width=vision.hidden_size,
            vision_layers=vision.num_hidden_layers,
            vision_heads=vision.num_attention_heads,
            text_width=text.hidden_size,
            text_layers=text.num_hidden_layers,
            text_heads=text.num_attention_heads,
            embed_dim=config.projection_dim or 512,  # transformers' default
            vocab_size=text.vocab_size,
            context_length=text.max_position_embeddings,
            activation=vision.hidden_act,
            vision_eps=vision.layer_norm_eps,
            text_eps=text.layer_norm_eps,
        )

    def _tower(self, tower: str) -> dict[str, Any]:
        width = getattr(self, f"{tower}_width")
        return {
            "hidden_size": width,
            "intermediate_size": 4 * width,
            "num_hidden_layers": getattr(self, f"{tower}_layers"),
            "num_attention_heads": self.heads(tower),
            "projection_dim": self.embed_dim,
            "hidden_act": self.activation,
            "layer_norm_eps": getattr(self, f"{tower}_eps"),
        }


SHAPES = {
    "ViT-B-32": ClipShape(),
    "ViT-B-16": ClipShape(patch_size=16),
    "ViT-L-14": ClipShape(
        patch_size=14, vision_width=1024, vision_layers=24, text_width=768, embed_dim=768
    ),
    "ViT-L-14-336": ClipShape(
        image_size=336,
        patch_size=14,
        vision_width=1024,
        vision_layers=24,
        text_width=768,
        embed_dim=768,
    ),
}
