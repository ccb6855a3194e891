"""How sure an answer may be: a scale of logits, a floor of doubt, and whether a picture is known at all.

All three are learned from logits of pictures that the head was not fitted to:

* logits are divided by the temperature under which the right answers are likeliest (Guo et al., "On
  Calibration of Modern Neural Networks", ICML 2017, arXiv 1706.04599);
* of n checked answers none can show that fewer than one in n + 2 is wrong (Laplace's rule of
  succession), so this much probability is spread over all classes;
* a picture is as strange as the share of known pictures that are as strange (a conformal p-value; Vovk,
  Gammerman and Shafer, 2005). Where pictures are drawn alike, at most a share `rate` of pictures of
  the known classes are taken for unknown.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from scipy.optimize import minimize_scalar
from torch import Tensor
from torch.nn import functional as F

SPREAD = 2.0  # a factor by which a scale is off its center as often as a standard deviation
_REACH = 64.0  # scales are looked for up to so many times above and below the center
_NEAR = 0.01  # relative error of a scale


def likeliest_scale(
    offsets: Tensor, branch: Tensor, labels: Tensor, center: float = 1.0, spread: float = SPREAD
) -> float:
    """Return the a > 0 for which logits offsets + a branch make the labels likeliest.

    Args:
        offsets: (n, D) logits that stay, or (n, 1) zeros.
        branch: (n, D) logits to be scaled.
        labels: (n,) right answers.
        center: What is most probable before anything is seen: with few labels, or with none wrong,
            the answer stays near.
        spread: The factor that is one standard deviation of it.
    """
    width = math.log(spread)

    def loss(step: float) -> float:
        scale = center * math.exp(step)
        value = float(F.cross_entropy(offsets + scale * branch, labels, reduction="sum"))
        return value + (step / width) ** 2 / 2

    reach = math.log(_REACH)
    found: Any = minimize_scalar(
        loss, bounds=(-reach, reach), method="bounded", options={"xatol": _NEAR}
    )
    return center * math.exp(found.x)


def temperature(logits: Tensor, labels: Tensor) -> float:
    """Return what to divide logits (n, D) of pictures with these labels (n,) by."""
    return 1 / likeliest_scale(torch.zeros_like(logits[:, :1]), logits, labels)


def doubt(checked: int) -> float:
    """Return the share of probability that is left to any class after so many checked answers."""
    return 1 / (checked + 2)


def chances(logits: Tensor, temperature: float, doubt: float) -> Tensor:
    """Return (n, D) probabilities of logits (n, D)."""
    return (1 - doubt) * (logits / temperature).softmax(1) + doubt / logits.shape[1]


def familiarity(logits: Tensor) -> Tensor:
    """Return (n,) how much pictures look like one of the classes: the highest of (n, D) logits."""
    return logits.amax(1)


def known_shares(scores: Tensor, known: Tensor) -> Tensor:
    """Return (n,) conformal p-values in (0, 1] of scores (n,), beside those of known pictures (m,).

    It is the share of known pictures, the asked one among them, that score as low.
    """
    below = torch.searchsorted(known.sort().values, scores.contiguous(), right=True)
    return (below + 1).double() / (len(known) + 1)


def fewest_known(rate: float) -> int:
    """Return how many known pictures it takes for a p-value as low as `rate`."""
    return math.ceil(1 / rate - 1 - 1e-9)
