"""Retrieval ranks by counting, in tiles: every k and both directions from one pass.

The rank of the right answer is the number of candidates that score above it, so nothing needs to
be sorted and the N x M score matrix never exists: memory is one tile. With several captions to an
image, text retrieval counts a hit if any of them is among the first k, which is the rank of the
best-scoring one (the convention of CLIP's own evaluation, of open_clip and of CLIP_benchmark).

Ties. Those tools sort, so among equal scores an arbitrary one wins. Here a tie is worth what it
would be worth on average if equal scores were ordered at random: a model that gives everything
the same score is at chance and not at 100 % (counting only greater scores) or 0 % (counting equal
ones too). Scores closer than `tolerance` are equal, because a floating-point product cannot tell
them apart and its last bits depend on the tile it was computed in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from trifocal.errors import UserError


@dataclass(frozen=True)
class Ranks:
    """Where the right answers of Q queries landed."""

    above: Tensor  # (Q,) long, wrong candidates that score higher than the best right one
    tied: Tensor  # (Q,) long, wrong candidates that score the same as the best right one
    best: Tensor  # (Q,) long, right candidates that share that best score (at least 1)
    candidates: int  # how many candidates each query had
    right: Tensor  # (Q,) long, how many of them were right

    def __len__(self) -> int:
        return len(self.above)

    def hits(self, k: int) -> Tensor:
        """Return the chance that a right answer is among the first k, (Q,) in [0, 1].

        It is 0 or 1 unless the best right answer is tied with wrong ones across place k.
        """
        group = self.tied + self.best  # the candidates that share the best right score
        slots = (k - self.above).clamp_min(0)  # places left for that group
        slots = torch.minimum(slots, group)
        miss = torch.ones(len(self), dtype=torch.float64)
        for place in range(int(slots.max()) if len(self) else 0):
            # Draw the group in random order: the next one is wrong too.
            wrong = (self.tied - place).clamp_min(0) / (group - place).clamp_min(1)
            miss = torch.where(place < slots, miss * wrong, miss)
        return 1.0 - miss

    def recall(self, k: int) -> float:
        """Return recall@k: the share of queries with a right answer among the first k."""
        return float(self.hits(k).mean()) if len(self) else float("nan")

    def ties(self, k: int) -> int:
        """Return how many queries have a right answer among the first k or not, as ties fall."""
        hits = self.hits(k)
        return int(((hits > 0) & (hits < 1)).sum())

    def mean_rank(self) -> float:
        """Return the mean place, from 1, of the first right answer."""
        # The first of `best` items in a random order of best + tied has this many before it.
        before = self.above.double() + self.tied.double() / (self.best.double() + 1)
        return float(1 + before.mean()) if len(self) else float("nan")

    def chance(self, k: int) -> float:
        """Return the recall@k of a random order of the candidates."""
        miss = torch.ones(len(self), dtype=torch.float64)
        wrong = self.candidates - self.right
        for place in range(min(k, self.candidates)):
            miss *= (wrong - place).clamp_min(0) / (self.candidates - place)
        return float(1 - miss.mean()) if len(self) else float("nan")


def retrieval_ranks(
    images: Tensor,
    texts: Tensor,
    owner: Tensor | Sequence[int],
    *,
    tile: int = 1024,
    tolerance: float = 1e-6,
) -> tuple[Ranks, Ranks]:
    """Return the ranks of image retrieval (text to image) and text retrieval (image to text).

    Args:
        images: (N, D) unit embeddings, on any device.
        texts: (M, D) unit embeddings.
        owner: (M,) the image each text belongs to, in any order. An image without a text is
            still a candidate, but asks no question.
        tile: Rows and columns of the block of scores that exists at a time.
        tolerance: Scores this close are tied.

    Returns:
        Ranks of the M texts among the N images, and of the images that own a text (in their
        order) among the M texts.

    Raises:
        UserError: If an embedding is not finite; its rank would be meaningless.
    """
    images, texts = images.detach(), texts.detach()
    owner = torch.as_tensor(owner, dtype=torch.long, device=images.device)
    if len(owner) != len(texts) or (
        len(owner) and not 0 <= int(owner.min()) <= int(owner.max()) < len(images)
    ):
        raise ValueError(
            f"owner must name one of {len(images)} images for each of {len(texts)} texts"
        )
    for name, value in (("image", images), ("text", texts)):
        if not bool(torch.isfinite(value).all()):
            raise UserError(
                f"an embedding of the {name} tower holds NaN or infinity, so nothing can be "
                "ranked: the checkpoint is damaged or its training diverged; use an earlier one"
            )
    # Texts in the order of their images, so that a text tile's own images lie side by side.
    order = torch.argsort(owner, stable=True)
    texts, owner_sorted = texts[order], owner[order]
    own = _own_scores(images, texts, owner_sorted, tile)  # (M,)
    peak = torch.full((len(images),), -torch.inf, device=images.device)
    peak = peak.scatter_reduce(0, owner_sorted, own, "amax")  # (N,) best own caption
    counts = _count(images, texts, owner_sorted, own, peak, tile, tolerance)
    to_image_above, to_image_tied, to_text_above, to_text_tied = counts
    at_peak = (own >= peak[owner_sorted] - tolerance).long()
    right = torch.bincount(owner_sorted, minlength=len(images))
    best = torch.zeros_like(right).scatter_add_(0, owner_sorted, at_peak)
    ones = torch.ones(len(texts), dtype=torch.long)
    back = torch.argsort(order).cpu()
    asked = (right > 0).cpu()
    image_retrieval = Ranks(
        to_image_above.cpu()[back], to_image_tied.cpu()[back], ones, len(images), ones
    )
    text_retrieval = Ranks(
        to_text_above.cpu()[asked],
        to_text_tied.cpu()[asked],
        best.cpu()[asked],
        len(texts),
        right.cpu()[asked],
    )
    return image_retrieval, text_retrieval


def _own_scores(images: Tensor, texts: Tensor, owner: Tensor, tile: int) -> Tensor:
    """Return the (M,) scores of texts with their own image, `tile` rows at a time."""
    scores = [
        (rows.float() * images[who].float()).sum(dim=1)
        for rows, who in zip(texts.split(tile), owner.split(tile), strict=True)
    ]
    return torch.cat(scores) if scores else torch.empty(0, device=images.device)


def _count(
    images: Tensor,
    texts: Tensor,
    owner: Tensor,
    own: Tensor,
    peak: Tensor,
    tile: int,
    tolerance: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Count, tile by tile, the wrong candidates above and level with the right ones.

    Returns:
        For the (M,) texts and then for the (N,) images: how many are above, how many are tied.
    """
    device = images.device
    zeros = [
        torch.zeros(length, dtype=torch.long, device=device)
        for length in (len(texts), len(texts), len(images), len(images))
    ]
    image_above, image_tied, text_above, text_tied = zeros
    for i in range(0, len(images), tile):
        columns = images[i : i + tile].float()
        best = peak[i : i + tile]
        for t in range(0, len(texts), tile):
            rows = slice(t, t + tile)
            scores = texts[rows].float() @ columns.T  # (tile, tile)
            here = owner[rows] - i
            mine = (here >= 0) & (here < len(columns))
            # A right answer is not its own competitor, whatever its last bits say.
            scores[mine.nonzero().squeeze(1), here[mine]] = -torch.inf
            mark = own[rows, None]
            # Flags as floats: their sums are several times faster than those of booleans.
            flags = torch.empty_like(scores)
            image_above[rows] += torch.gt(scores, mark + tolerance, out=flags).sum(1).long()
            image_tied[rows] += torch.ge(scores, mark - tolerance, out=flags).sum(1).long()
            text_above[i : i + tile] += torch.gt(scores, best + tolerance, out=flags).sum(0).long()
            text_tied[i : i + tile] += torch.ge(scores, best - tolerance, out=flags).sum(0).long()
    # `tied` counted everything from the right score upward.
    return image_above, image_tied - image_above, text_above, text_tied - text_above
