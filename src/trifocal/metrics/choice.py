"""Choosing the right one of a few: pairs, K ways, and 2 x 2 groups.

Equality is an error everywhere in this file: a model that cannot tell two candidates apart has
not answered. This is how SugarCrepe and Winoground (Thrush et al., CVPR 2022, Eq. 1-3) count.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

PAIR_CHANCE = 1 / 2
GROUP_CHANCE = {"text": 1 / 4, "image": 1 / 4, "group": 1 / 6}


def pair_correct(right: Tensor, wrong: Tensor) -> Tensor:
    """Return (N,) bool: the right candidate scores strictly higher than the wrong one."""
    return right > wrong


def pair_tied(right: Tensor, wrong: Tensor) -> Tensor:
    """Return (N,) bool: both candidates have the same score, so that the question is lost."""
    return right == wrong


def choice_correct(scores: Tensor, answer: Tensor | int = 0, valid: Tensor | None = None) -> Tensor:
    """Return (N,) bool: the answer scores strictly higher than every other candidate.

    Args:
        scores: (N, K).
        answer: (N,) index of the right candidate, or one index for all rows.
        valid: (N, K) bool, False where a row has fewer than K candidates.
    """
    rows = torch.arange(len(scores), device=scores.device)
    answer = torch.as_tensor(answer, device=scores.device).expand(len(scores))
    others = torch.ones_like(scores, dtype=torch.bool)
    others[rows, answer] = False
    if valid is not None:
        others &= valid
    right = scores[rows, answer]
    # "Not above every other" and not "some other above": a NaN must not count as right.
    return ((right[:, None] > scores) | ~others).all(dim=1)


@dataclass(frozen=True)
class Groups:
    """Outcome of N groups of two images and two captions, each (N,) bool."""

    text: Tensor  # for both images, their own caption scores higher than the other
    image: Tensor  # for both captions, their own image scores higher than the other
    group: Tensor  # both

    def scores(self) -> dict[str, float]:
        """Return the three shares under Winoground's names."""
        return {
            "text": float(self.text.double().mean()),
            "image": float(self.image.double().mean()),
            "group": float(self.group.double().mean()),
        }


def group_correct(scores: Tensor) -> Groups:
    """Score groups in which caption k describes image k.

    Args:
        scores: (N, 2, 2), element [n, c, i] is the score of caption c with image i.
    """
    s00, s01 = scores[:, 0, 0], scores[:, 0, 1]
    s10, s11 = scores[:, 1, 0], scores[:, 1, 1]
    text = (s00 > s10) & (s11 > s01)
    image = (s00 > s01) & (s11 > s10)
    return Groups(text, image, text & image)
