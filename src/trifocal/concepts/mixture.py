"""How much of an answer comes from class texts, from Gaussian classes, and from what was learned.

    logits = text * texts + (1 - share) * learning + share * Gaussians

Learned weights (`map_weights`) see which pictures are confused; Gaussian classes (`gaussians`) do not
know of each other, and have little to learn wrongly from few pictures. Which is better depends on the
pictures: Gaussians on pets, learning on actions. Each is first put on a scale of its own, the one that
makes pictures likeliest that it was not fitted to, so that a share is a share. All of it is linear in a
picture's point, so the mixture is one set of weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from trifocal.concepts.calibration import likeliest_scale

SHARES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
ALONE, BESIDE = 0.7, 0.0  # usual shares of Gaussians without class texts, and beside them
TEXTS = tuple(step / 20 for step in range(21))
_SPREAD = 0.2  # how far a share is from the usual one, one standard deviation
WIDE = 4.0  # the factor that is one standard deviation of the Gaussians' scale
_TRUST = 0.5  # how far below 1 a text's weight is expected to be, one standard deviation


@dataclass(frozen=True)
class Scales:
    """What learned and Gaussian logits are multiplied by."""

    learned: float
    gaussian: float


@dataclass(frozen=True)
class Asked:
    """What is said of pictures that nothing was fitted to.

    Attributes:
        texts: (n, D) logits by class texts.
        learned: (n, D) logits to be scaled that learned weights add.
        gaussian: (n, D) those of Gaussians, in another scale; None where there are none.
        labels: (n,) right answers.
    """

    texts: Tensor
    learned: Tensor
    gaussian: Tensor | None
    labels: Tensor

    def scales(self, center: Scales) -> Scales:
        """Return the likeliest scales, where those at the center were likeliest before."""
        learned = likeliest_scale(self.texts, self.learned, self.labels, center.learned)
        if self.gaussian is None:
            return Scales(learned, center.gaussian)
        given = (self.texts, self.gaussian, self.labels)
        return Scales(learned, likeliest_scale(*given, center.gaussian, WIDE))

    def mixed(self, scales: Scales, share: float) -> Tensor:
        """Return (n, D) logits with this share of Gaussians."""
        logits = self.texts + (1 - share) * scales.learned * self.learned
        if share and self.gaussian is not None:
            logits = logits + share * scales.gaussian * self.gaussian
        return logits


def text_weight(texts: Tensor, labels: Tensor) -> float:
    """Return what class texts count, in [0, 1]: what makes the support likeliest.

    Nothing was fitted to reach the logits (N, D), so labels (N,) of the support tell whether names
    mean something to the backbone. Without a sign that they do not it is 1.
    """

    def loss(weight: float) -> float:
        told = float(F.cross_entropy(weight * texts, labels, reduction="sum"))
        return told + ((1 - weight) / _TRUST) ** 2 / 2

    return min(reversed(TEXTS), key=loss)


def likely_share(asked: Asked, scales: Scales, usual: float) -> float:
    """Return the share of Gaussians that is to be expected: the mean of its posterior.

    How likely each share makes the right answers is weighed with a Gaussian about the usual share. The
    best share on a hundred pictures is mostly luck, that on a thousand is not.

    Args:
        asked: Pictures of the support, each asked of a fit without it, or of validation.
        scales: Of these fits.
        usual: What the share is where nothing tells.
    """
    losses = [
        float(F.cross_entropy(asked.mixed(scales, share), asked.labels, reduction="sum"))
        for share in SHARES
    ]
    shares = torch.tensor(SHARES, dtype=torch.float64)
    before = ((shares - usual) / _SPREAD).square() / 2
    posterior = (-torch.tensor(losses, dtype=torch.float64) - before).softmax(0)
    return float(posterior @ shares)


def joined(
    learned: Tensor, gaussian: tuple[Tensor, Tensor], scales: Scales, share: float
) -> tuple[Tensor, Tensor]:
    """Return weights (k, D) and biases (D,) of a mixture.

    `learned` are weights (k, D), `gaussian` weights (k, D) and biases (D,).
    """
    if not share:
        return scales.learned * learned, torch.zeros_like(gaussian[1])
    weights = (1 - share) * scales.learned * learned + share * scales.gaussian * gaussian[0]
    return weights, share * scales.gaussian * gaussian[1]
