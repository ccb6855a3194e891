"""Every image among its own texts: the caption, and rule-made distortions of it.

The logits of FSC-CLIP's two (1+K)-way choices (Oh et al., EMNLP 2024, arXiv 2410.05210): by pooled
embeddings (global), and by words and patches (local). `calibrated_loss` judges either.

Texts come in one batch: rows 0..B−1 are the captions, the next M their negatives, with `owner`
(whose) and `kind` (which of the K) saying where each belongs. Not every image need have a negative
of every kind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from trifocal.losses.alignment import Weighting, caption_scores
from trifocal.losses.precision import widen

if TYPE_CHECKING:
    from trifocal.clip.embeddings import ImageEmbedding, TextEmbedding


class Choice(NamedTuple):
    """What each of B images is asked: its caption, or one of the negatives that exist?

    Attributes:
        logits: (B, 1+K), the caption's in column 0, the negatives' by kind.
        valid: (B, K), true where there is such a negative.
    """

    logits: Tensor
    valid: Tensor


class Slots:
    """Where the B + M texts of a batch stand in a (B, 1+K) table.

    Args:
        owner: (M,) long in 0..B-1, the image of each negative (of this process).
        kind: (M,) long in 0..K-1, the kind of each negative; at most one each per image.
        images: B.
        kinds: K.

    Raises:
        ValueError: `owner` and `kind` do not fit.
    """

    def __init__(self, owner: Tensor, kind: Tensor, images: int, kinds: int) -> None:
        if owner.ndim != 1 or owner.shape != kind.shape:
            raise ValueError(
                f"owner and kind must both be (M,): {tuple(owner.shape)}, {tuple(kind.shape)}"
            )
        self.image = torch.cat([torch.arange(images, device=owner.device), owner])
        self.column = torch.cat([owner.new_zeros(images), 1 + kind])
        self.shape = (images, 1 + kinds)

    def table(self, values: Tensor) -> Tensor:
        """Return (B, 1+K) with `values` (B+M,) in their places and 0 (False) elsewhere.

        Raises:
            ValueError: There is not a value for every text.
            IndexError: (on a CPU) An owner or kind is out of range.
        """
        if len(values) != len(self.image):
            captions = self.shape[0]
            raise ValueError(
                f"text must hold {captions} captions and {len(self.image) - captions} negatives, "
                f"but has {len(values)} rows"
            )
        return values.new_zeros(self.shape).index_put((self.image, self.column), values)


def global_choice(
    image: ImageEmbedding, text: TextEmbedding, slots: Slots, scale: Tensor | float
) -> Choice:
    """Return the choice by the cosines of pooled embeddings.

    Args:
        image: pooled (B, D) unit.
        text: pooled (B+M, D) unit, captions first.
        slots: Where the texts stand.
        scale: Logit scale s, a number or a 0-dim tensor (with gradient).
    """
    present = slots.table(torch.ones(len(text.pooled), dtype=torch.bool, device=slots.image.device))
    images = widen(image.pooled).index_select(0, slots.image)
    cosines = (images * widen(text.pooled)).sum(dim=1)
    return Choice(slots.table(cosines * scale), present[:, 1:])


def local_choice(
    image: ImageEmbedding,
    text: TextEmbedding,
    slots: Slots,
    scale: Tensor | float,
    weighting: Weighting = "minmax",
) -> Choice:
    """Return the choice by how well the words of a text find their patches; see `alignment`.

    Without words there is nothing to align: such a negative does not count, and an image with such
    a caption does not either.

    Args:
        image: patches (B, P, D) raw.
        text: tokens (B+M, L, D) raw and mask (B+M, L), captions first.
        slots: Where the texts stand.
        scale: Logit scale s, a number or a 0-dim tensor (with gradient).
        weighting: How a word spreads its attention over the patches.

    Raises:
        ValueError: The embeddings came without patches or tokens.
    """
    if image.patches is None or text.tokens is None or text.mask is None:
        raise ValueError("the local term needs patches, tokens and mask (or local_weight=0)")
    spoken = slots.table(text.mask.any(dim=1))
    valid = spoken[:, 1:] & spoken[:, :1]
    # Images without a negative are left out of the mean, so their words need no score.
    mask = text.mask.bool() & valid.any(dim=1)[slots.image, None]
    scores = caption_scores(image.patches, text.tokens, mask, slots.image, scale, weighting)
    return Choice(slots.table(scores), valid)
