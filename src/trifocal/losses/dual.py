"""The losses of RCA: one picture, a clue that says what is there, an inference from it.

Zhang, Ee and Fernando, ACM Multimedia 2024 (arXiv 2303.10428), "Dual-Contrastive Loss". With CLIP's
symmetric loss L(a, b) over the batch,

    dual    1/2 [L(image, clue) + L(image, inference)]
    triple  1/3 [L(image, clue) + L(image, inference) + L(clue, inference)]

The paper's figure stacks clues and inferences into one 2N x N matrix; its code, and the default
here, keep two matrices. For the texts the two forms are one, for the pictures they differ.
"""

from __future__ import annotations

from torch import Tensor

from trifocal.losses.contrastive import contrastive_loss, pair_loss


def dual_contrastive_loss(
    image: Tensor,
    clue: Tensor,
    inference: Tensor,
    scale: Tensor | float,
    *,
    stacked: bool = False,
    across_ranks: bool = True,
) -> Tensor:
    """Return the mean of the contrastive losses of pictures with clues and with inferences.

    Args:
        image: (B, D) unit embeddings of pictures with their region.
        clue: (B, D) unit embeddings of what is literally there.
        inference: (B, D) unit embeddings of what follows from it.
        scale: Logit scale s, a number or a 0-dim tensor (with gradient).
        stacked: Classify every picture among clues and inferences at once.
        across_ranks: With several processes, contrast with the rows of all of them.

    Raises:
        ValueError: if the three are not matrices of one shape.

    Source:
        RCA (arXiv 2303.10428), dual-contrastive loss.
    """
    literal, inferred = dual_terms(
        image, clue, inference, scale, stacked=stacked, across_ranks=across_ranks
    )
    return literal + inferred


def dual_terms(
    image: Tensor,
    clue: Tensor,
    inference: Tensor,
    scale: Tensor | float,
    *,
    stacked: bool = False,
    across_ranks: bool = True,
) -> tuple[Tensor, Tensor]:
    """Return the two halves of `dual_contrastive_loss`: of the clues, of the inferences."""
    literal = pair_loss(
        image, clue, scale, inference if stacked else None, across_ranks=across_ranks
    )
    inferred = pair_loss(
        image, inference, scale, clue if stacked else None, across_ranks=across_ranks
    )
    return literal / 2, inferred / 2


def triple_contrastive_loss(
    image: Tensor,
    clue: Tensor,
    inference: Tensor,
    scale: Tensor | float,
    *,
    across_ranks: bool = True,
) -> Tensor:
    """Return the mean of the contrastive losses of all three pairs; arguments as for the dual."""
    pairs = ((image, clue), (image, inference), (clue, inference))
    losses = [contrastive_loss(a, b, scale, across_ranks=across_ranks) for a, b in pairs]
    return (losses[0] + losses[1] + losses[2]) / 3


def wrong_region_loss(
    image: Tensor,
    wrong: Tensor,
    text: Tensor,
    scale: Tensor | float,
    *,
    across_ranks: bool = True,
) -> Tensor:
    """Return the contrastive loss in which every text also meets the wrong regions.

    1/2 [CE(picture to text over B) + CE(text to picture over B + M)], as RCA trains on referring
    expressions.

    Args:
        image: (B, D) unit embeddings of the right regions.
        wrong: (M, D) unit embeddings of other regions of the same pictures.
        text: (B, D) unit embeddings of the expressions.
        scale: Logit scale s.
        across_ranks: With several processes, contrast with the rows of all of them.
    """
    return pair_loss(text, image, scale, wrong, across_ranks=across_ranks)
