"""CLIP-LoRA: low-rank updates of the queries, keys and values of both encoders.

Zanella and Ben Ayed, "Low-Rank Few-Shot Adaptation of Vision-Language Models", CVPR Workshops 2024
(arXiv 2405.18541). Rank 2 in every layer, scaled by alpha / sqrt(rank) with alpha 1, dropout 0.25
in front of the updates, the same settings and one prompt for all data sets. Nothing is validated:
the last step is the model.

Example:
    >>> from trifocal import load_clip
    >>> method = ClipLora(load_clip("builtin"))
    >>> sum(p.numel() for p in method.parameters() if p.requires_grad)
    10752
"""

from __future__ import annotations

from dataclasses import dataclass, field

from trifocal.clip import Clip
from trifocal.concepts.class_tuned import ClassTuned
from trifocal.tuning import LoraConfig, Surgery


@dataclass(frozen=True)
class ClipLoraConfig:
    """Settings of CLIP-LoRA; the defaults are the paper's.

    Attributes:
        lora: Shape and place of the updates. With the image tower alone, class texts are computed
            once.
        template: The prompt of a class, with "{}" for its name.
        flip: Mirror half of the pictures, drawn, in training.
    """

    lora: LoraConfig = field(
        default_factory=lambda: LoraConfig(
            rank=2,
            alpha=1.0,
            dropout=0.25,
            targets=("q_proj", "k_proj", "v_proj"),
            rank_stabilized=True,
        )
    )
    template: str = "a photo of a {}."
    flip: bool = True


class ClipLora(ClassTuned):
    """A CLIP with low-rank updates, trained to tell classes apart."""

    def __init__(self, clip: Clip, config: ClipLoraConfig | None = None) -> None:
        config = config or ClipLoraConfig()
        super().__init__(clip, Surgery("none", lora=config.lora), config.template, config.flip)
        self.config = config
