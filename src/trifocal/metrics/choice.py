"""Choosing the right one of a few: pairs, K ways, and 2 x 2 groups.

Equality is an error everywhere in this file: a model that cannot tell two candidates apart has
not answered. This is how SugarCrepe and Winoground (Thrush et al., CVPR 2022, Eq. 1-3) count.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

PAIR_CHANCE = 1 / 2
GROUP_CHANCE = {"text": 1 / 4, "image": 1 / 4, "group": 1 / 6}


def pair_correct(right: Tensor, wrong: Tensor) -> Tensor:
    """Return (N,) bool: the right candidate scores strictly higher than the wrong one."""
    return right > wrong


def pair_tied(right: Tensor, wrong: Tensor) -> Tensor:
    """Return (N,) bool: both candidates have the same score, so that the question is lost."""
    return right == wrong


@dataclass(frozen=True)
class Outcome:
    """How N questions ended, each (N,) bool."""

    right: Tensor  # every comparison is won
    tied: Tensor  # none is lost, but not all are won

    def __and__(self, other: Outcome) -> Outcome:
        not_lost = (self.right | self.tied) & (other.right | other.tied)
        right = self.right & other.right
        return Outcome(right, not_lost & ~right)


def first_wins(scores: Tensor) -> Outcome:
    """Is the first of K candidates strictly above every other?

    Args:
        scores: (N, K); -inf stands where a question has fewer candidates.
    """
    right, others = scores[:, :1], scores[:, 1:]
    won = (right > others).all(dim=1)
    return Outcome(won, (right >= others).all(dim=1) & ~won)


def choose_text(scores: Tensor) -> Outcome:
    """Does the first picture prefer the first text? Scores are (N, I, T)."""
    return first_wins(scores[:, 0])


def choose_image(scores: Tensor) -> Outcome:
    """Does the first text prefer the first picture? Scores are (N, I, T)."""
    return first_wins(scores[:, :, 0])


def square(scores: Tensor) -> dict[str, Outcome]:
    """Winoground's three scores (Thrush et al., CVPR 2022, Eq. 1-3) of (N, 2, 2) scores.

    Element [n, i, t] is the score of picture i with text t, and text k describes picture k.
    """
    swapped = scores.flip(1, 2)  # the second picture and text stand first
    text = choose_text(scores) & choose_text(swapped)
    image = choose_image(scores) & choose_image(swapped)
    return {"text": text, "image": image, "group": text & image}
