"""Training objectives with hard-negative captions: FSC-CLIP and NegCLIP.

FSC-CLIP (Oh et al., EMNLP 2024, arXiv 2410.05210) contrasts images with the true captions only, and
adds two (1+K)-way classifications of an image's own caption against its own K hard negatives: by
pooled embeddings (global) and by words and patches (local), both calibrated,

    L = L_clip + λ_g · L_g + λ_l · L_l.

NegCLIP (Yuksekgonul et al., ICLR 2023, arXiv 2210.01936) instead adds the negatives of all images
as columns to the image → text half of the contrastive loss; text → image ignores them.

Both receive texts in one batch: rows 0..B−1 are the captions, the next M their negatives, with
`owner` (whose) and `kind` (which of the K) saying where each belongs. Not every image need have a
negative of every kind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from trifocal.losses.alignment import Weighting, caption_scores
from trifocal.losses.calibration import Missing, calibrated_loss, check_missing
from trifocal.losses.contrastive import pair_loss
from trifocal.losses.precision import widen

if TYPE_CHECKING:
    from trifocal.clip.embeddings import ImageEmbedding, TextEmbedding


def _check(image: ImageEmbedding, text: TextEmbedding, owner: Tensor, kind: Tensor) -> None:
    """Raise ValueError unless the rows of `text` are B captions and M negatives."""
    if owner.ndim != 1 or owner.shape != kind.shape:
        raise ValueError(
            f"owner and kind must both be (M,): {tuple(owner.shape)}, {tuple(kind.shape)}"
        )
    if len(text.pooled) != len(image.pooled) + len(owner):
        raise ValueError(
            f"text must hold {len(image.pooled)} captions and {len(owner)} negatives, "
            f"but has {len(text.pooled)} rows"
        )


class _Slots:
    """Where the B + M texts stand in a (B, 1+K) table of logits."""

    def __init__(self, owner: Tensor, kind: Tensor, images: int, kinds: int) -> None:
        self.image = torch.cat([torch.arange(images, device=owner.device), owner])
        self.column = torch.cat([owner.new_zeros(images), 1 + kind])
        self.shape = (images, 1 + kinds)

    def table(self, values: Tensor) -> Tensor:
        """Return (B, 1+K) with `values` (B+M,) in their places and 0 (False) elsewhere."""
        return values.new_zeros(self.shape).index_put((self.image, self.column), values)


def fsc_clip_loss(
    image: ImageEmbedding,
    text: TextEmbedding,
    owner: Tensor,
    kind: Tensor,
    scale: Tensor | float,
    *,
    kinds: int = 3,
    global_weight: float = 0.5,
    local_weight: float = 0.2,
    gamma: float = 2.0,
    smoothing: float = 0.02,
    weighting: Weighting = "minmax",
    missing: Missing = "mask",
    length_normalized: bool = False,
    across_ranks: bool = True,
) -> dict[str, Tensor]:
    """Return the three weighted terms of FSC-CLIP, whose sum is trained.

    Args:
        image: pooled (B, D) unit; patches (B, P, D) raw, needed by the local term only.
        text: pooled (B+M, D) unit, captions first; tokens (B+M, L, D) raw and mask (B+M, L),
            needed by the local term only.
        owner: (M,) long in 0..B-1, the image of each negative (of this process).
        kind: (M,) long in 0..kinds-1, the kind of each negative; at most one each per image.
        scale: Logit scale s, a number or a 0-dim tensor (with gradient).
        kinds: K, the number of kinds.
        global_weight: λ_g; 0 skips the term.
        local_weight: λ_l; 0 skips the term.
        gamma: Focusing exponent of the calibration.
        smoothing: Label smoothing of the calibration.
        weighting: How a word spreads its attention over the patches.
        missing: What becomes of the classes of missing negatives, see `calibrated_loss`.
        length_normalized: Let long captions earn nothing in the local score.
        across_ranks: With several processes, the loss of the whole batch (every process must
            call, and may have any number of negatives); else of the rows at hand.

    Returns:
        `contrastive`, `global_negative`, `local_negative`: scalars; a skipped term, and one of a
        batch without negatives, is 0.

    Raises:
        ValueError: for shapes or parameters that do not fit.
        IndexError: (on a CPU) for an owner or kind out of range.

    Source:
        FSC-CLIP (Oh et al., EMNLP 2024, arXiv 2410.05210).
    """
    _check(image, text, owner, kind)
    check_missing(missing)
    count = len(image.pooled)
    terms = {
        "contrastive": pair_loss(
            image.pooled, text.pooled[:count], scale, across_ranks=across_ranks
        ),
        "global_negative": widen(image.pooled.new_zeros(())),
        "local_negative": widen(image.pooled.new_zeros(())),
    }
    slots = _Slots(owner, kind, count, kinds)
    valid = slots.table(torch.ones_like(slots.image, dtype=torch.bool))[:, 1:]

    def calibrated(scores: Tensor, valid: Tensor) -> Tensor:
        return calibrated_loss(
            slots.table(scores), valid, gamma, smoothing, missing, across_ranks=across_ranks
        )

    if global_weight:
        images = widen(image.pooled).index_select(0, slots.image)
        cosines = (images * widen(text.pooled)).sum(dim=1)
        terms["global_negative"] = global_weight * calibrated(cosines * scale, valid)
    if local_weight:
        if image.patches is None or text.tokens is None or text.mask is None:
            raise ValueError("the local term needs patches, tokens and mask (or local_weight=0)")
        # Without words there is nothing to align: such a negative does not count, and an image with
        # such a caption does not either.
        spoken = slots.table(text.mask.any(dim=1))
        valid = valid & spoken[:, 1:] & spoken[:, :1]
        # Images without a negative are left out of the mean, so their words need no score.
        mask = text.mask.bool() & valid.any(dim=1)[slots.image, None]
        scores = caption_scores(
            image.patches,
            text.tokens,
            mask,
            slots.image,
            scale,
            weighting,
            length_normalized=length_normalized,
        )
        terms["local_negative"] = local_weight * calibrated(scores, valid)
    return terms


def negclip_loss(
    image: ImageEmbedding,
    text: TextEmbedding,
    owner: Tensor,
    kind: Tensor,
    scale: Tensor | float,
    *,
    kinds: int = 3,
    missing: Missing = "mask",
    across_ranks: bool = True,
) -> dict[str, Tensor]:
    """Return the contrastive loss of NegCLIP under its one name, `contrastive`.

    Args:
        image: pooled (B, D) unit.
        text: pooled (B+M, D) unit, captions first, then the negatives.
        owner: (M,) long, the image of each negative; every image is contrasted with all.
        kind: (M,) long, the kind of each negative.
        scale: Logit scale s, a number or a 0-dim tensor (with gradient).
        kinds: K, the number of kinds; only `missing="zero"` asks.
        missing: "mask" leaves out the negatives that could not be made; "zero" gives each of
            the K·B − M missing ones a column of logit 0.
        across_ranks: With several processes, the loss of the whole batch (every process must
            call); else of the rows at hand.

    Raises:
        ValueError: for shapes or parameters that do not fit.

    Source:
        NegCLIP (Yuksekgonul et al., ICLR 2023, arXiv 2210.01936), with hard negative captions.
    """
    _check(image, text, owner, kind)
    check_missing(missing)
    count = len(image.pooled)
    blanks = kinds * count - len(owner) if missing == "zero" else 0
    if blanks < 0:
        raise ValueError(f"{len(owner)} negatives exceed {kinds} kinds for {count} images")
    loss = pair_loss(
        image.pooled,
        text.pooled[:count],
        scale,
        text.pooled[count:],
        blanks=blanks,
        across_ranks=across_ranks,
    )
    return {"contrastive": loss}
