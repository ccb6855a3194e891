"""What FSC-CLIP is compared with, on the same engine: plain fine-tuning and NegCLIP.

Plain fine-tuning continues CLIP's own contrastive loss (Radford et al., ICML 2021); it is also
what pre-trains the built-in base. NegCLIP (Yuksekgonul et al., ICLR 2023, arXiv 2210.01936) adds
the hard negatives of the whole batch as further columns of the image-to-text matrix.

Reading order: the two `objective`s below over `losses/contrastive.py`, where the matrix is made in
tiles; the negatives come from `negatives/generator.py`.

When to use: `Finetune` to adapt to new captions, and as the baseline of whatever claims more;
`NegClip` where word order is all that counts. Where the model must also stay what it was,
`FscClip` costs less.

Relations: both are FSC-CLIP's contrastive term with other columns, on the same batches and engine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from trifocal.clip import Clip
from trifocal.composition.batching import CaptionBatch
from trifocal.composition.caption_tuned import CaptionTuned
from trifocal.composition.options import TuningOptions
from trifocal.losses import contrastive_loss, pair_loss
from trifocal.tuning import Encoded, simple


@dataclass(frozen=True)
class FinetuneConfig(TuningOptions):
    """Settings of plain contrastive training."""


class Finetune(CaptionTuned):
    """CLIP's contrastive loss, continued on new pairs (or begun on fresh weights)."""

    def __init__(self, clip: Clip, config: FinetuneConfig | None = None) -> None:
        config = config or FinetuneConfig()
        super().__init__(clip, simple(config.tuning, config.lora), config)
        self.config = config

    def objective(self, encoded: Encoded, batch: CaptionBatch) -> dict[str, Tensor]:
        """Return the single term `contrastive`."""
        text = encoded.text.pooled[: batch.size]
        return {"contrastive": contrastive_loss(encoded.image.pooled, text, encoded.scale)}


@dataclass(frozen=True)
class NegClipConfig(TuningOptions):
    """Settings of NegCLIP.

    Attributes:
        negatives: Kinds of hard negatives; the published NegCLIP uses "swap" alone, the NegCLIP
            of FSC-CLIP's tables all three.
        missing: Negatives that could not be made: left out, or zero columns.
    """

    negatives: tuple[str, ...] = ("swap", "replace", "shuffle")
    missing: Literal["mask", "zero"] = "mask"


class NegClip(CaptionTuned):
    """Hard negatives of all images as extra columns of the contrastive matrix."""

    def __init__(self, clip: Clip, config: NegClipConfig | None = None) -> None:
        config = config or NegClipConfig()
        super().__init__(clip, simple(config.tuning, config.lora), config)
        self.config = config
        self.negative_kinds = tuple(config.negatives)

    def objective(self, encoded: Encoded, batch: CaptionBatch) -> dict[str, Tensor]:
        """Return the single term `contrastive`: images among all texts, captions among images."""
        image, text = encoded.image.pooled, encoded.text.pooled
        captions, negatives = text[: batch.size], text[batch.size :]
        slots = batch.size * max(len(self.negative_kinds), 1)
        blanks = slots - len(negatives) if self.config.missing == "zero" else 0
        loss = pair_loss(image, captions, encoded.scale, negatives, blanks=blanks)
        return {"contrastive": loss}
