"""FSC-CLIP: fine-grained selective calibrated CLIP.

Oh, Cho, Kim, Kweon and Kim, EMNLP 2024 (arXiv 2410.05210). The contrastive loss on image-caption
pairs, plus two (1+K)-way choices of every image between its own caption and rule-made distortions
of it: one on the pooled embeddings, one on token-patch alignment. Both are trained with a focal
loss on smoothed targets, which keeps what the model knew.

Reading order: `FscClip.objective` below is the equation; `losses/contrastive.py`, then
`losses/hard_negative.py` (the logits of both choices) over `losses/alignment.py` (words and
patches), then `losses/calibration.py` (focal loss, smoothed targets); the distortions are made in
`negatives/generator.py`, the batches in `batching.py`. `examples/fsc_clip.py` trains it by hand.

When to use: a model should tell captions apart that have the same words in other places, and still
retrieve and classify as before. It learns from captioned photos alone; a hundred thousand of them
and an hour of one GPU are what the paper takes.

Relations: `global_weight` and `local_weight` 0 is `Finetune`; NegCLIP (`NegClip`) puts the same
distortions of all images into the contrastive matrix instead, which costs more of the old skills.
Every term is a switch, `gamma` 0 removes the focal factor and `smoothing` 0 the smoothing; the
paper's ablation is eight settings of these four.

Example:
    >>> from trifocal import load_clip
    >>> method = FscClip(load_clip("builtin"), FscClipConfig(tuning="lora", local_weight=0.0))
    >>> method.negative_kinds, method.dense  # without the local term, no patches are kept
    (('swap', 'replace', 'shuffle'), False)

Differs from the authors' code: missing negatives are masked (theirs stay in the softmax with
logit 0; `missing="zero"` restores it), losses gather across processes with gradient, LoRA starts
at exactly zero, a batch without any negative costs nothing instead of raising, flat similarity
rows get uniform weights instead of NaN, `replace` weighs words by the counts of their own senses
(the recipe's `negatives.replace_counts` restores theirs).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from trifocal.clip import Clip
from trifocal.composition.batching import CaptionBatch
from trifocal.composition.caption_tuned import CaptionTuned
from trifocal.composition.options import TuningOptions
from trifocal.losses import (
    Choice,
    Slots,
    calibrated_loss,
    contrastive_loss,
    global_choice,
    local_choice,
)
from trifocal.tuning import Encoded, simple


@dataclass(frozen=True)
class FscClipConfig(TuningOptions):
    """Settings of FSC-CLIP; the defaults are the paper's.

    Attributes:
        global_weight: Weight of the hard-negative loss on pooled embeddings.
        local_weight: Weight of the hard-negative loss on token-patch alignment.
        gamma: Focusing exponent of both; 0 is plain cross-entropy.
        smoothing: Share of the target spread over the caption and its negatives.
        weighting: How a token's similarities become weights over patches.
        missing: Negatives that could not be made: "mask" them, or keep them as logit "zero".
        negatives: Kinds of hard negatives, made anew in every epoch.

    Example:
        >>> import trifocal
        >>> trifocal.FscClipConfig(local_weight=0.0).negatives
        ('swap', 'replace', 'shuffle')
    """

    global_weight: float = 0.5
    local_weight: float = 0.2
    gamma: float = 2.0
    smoothing: float = 0.02
    weighting: Literal["minmax", "minmax_sparse", "softmax"] = "minmax"
    missing: Literal["mask", "zero"] = "mask"
    negatives: tuple[str, ...] = ("swap", "replace", "shuffle")


class FscClip(CaptionTuned):
    """A CLIP trained to choose its caption among distortions, without forgetting the rest.

    Example:
        >>> import trifocal
        >>> method = trifocal.FscClip(trifocal.load_clip("builtin"), trifocal.FscClipConfig())
        >>> method.negative_kinds
        ('swap', 'replace', 'shuffle')
    """

    def __init__(self, clip: Clip, config: FscClipConfig | None = None) -> None:
        config = config or FscClipConfig()
        super().__init__(clip, simple(config.tuning, config.lora), config)
        self.config = config
        self.dense = config.local_weight > 0
        wanted = config.global_weight > 0 or config.local_weight > 0
        self.negative_kinds = tuple(config.negatives) if wanted else ()

    def objective(self, encoded: Encoded, batch: CaptionBatch) -> dict[str, Tensor]:
        """Return the three terms of L = L_clip + λ_g · L_g + λ_l · L_l.

        A term that is switched off, and one of a batch without negatives, is 0.
        """
        config, image, text, scale = self.config, encoded.image, encoded.text, encoded.scale
        slots = Slots(batch.owner, batch.kind, batch.size, max(len(self.negative_kinds), 1))

        def calibrated(choice: Choice) -> Tensor:
            return calibrated_loss(*choice, config.gamma, config.smoothing, config.missing)

        contrastive = contrastive_loss(image.pooled, text.pooled[: batch.size], scale)
        by_pooled = by_words = contrastive.new_zeros(())
        if config.global_weight:
            by_pooled = calibrated(global_choice(image, text, slots, scale))
        if config.local_weight:
            by_words = calibrated(local_choice(image, text, slots, scale, config.weighting))
        return {
            "contrastive": contrastive,
            "global_negative": config.global_weight * by_pooled,
            "local_negative": config.local_weight * by_words,
        }
