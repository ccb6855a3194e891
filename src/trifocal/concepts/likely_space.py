"""Which space: what concepts count in it, and what a picture's length does.

Concepts are worth much where classes differ in things that words name (actions), and cost where they
do not (breeds of cats and dogs). Pictures tell which it is: each is left out of the support in closed
form (`gaussians.leave_one_out`), in one space after the other, and the space is taken in which Gaussian
classes find the right answers likeliest. On validation rows the order of spaces is the same, from two
pictures a class on (benchmarks/concept_selection.py).

Powers come first, at unit length; another length is tried at the best power.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from trifocal.concepts.calibration import likeliest_scale
from trifocal.concepts.mixture import WIDE
from trifocal.concepts.placed import Placed, Places
from trifocal.concepts.space import POWER

POWERS = (POWER, 0.0, 0.5)  # of the concepts' covariance; the first is the usual one
LENGTHS = (0.0, 0.5)  # that of a point, likewise: unit points, or the root of their lengths
MOST = 1000  # pictures that are left out; more would say the same


@dataclass(frozen=True)
class Likely:
    """A space, and how likely pictures are in it that are left out.

    Attributes:
        placed: The support in it.
        scale: What is likeliest to multiply the Gaussians' logits by.
        loss: Minus the log-likelihood of the right answers then.
    """

    placed: Placed
    scale: float
    loss: float


def likeliest_space(
    places: Places,
    texts: Tensor,
    rows: Tensor,
    powers: tuple[float, ...] = POWERS,
    lengths: tuple[float, ...] = LENGTHS,
) -> Likely:
    """Return the space in which left-out pictures are likeliest.

    Args:
        places: The support, wherever it is asked for.
        texts: (N, D) logits of class texts.
        rows: (n,) pictures that have another of their class; of many, `MOST` are asked.
        powers: Of the concepts' covariance; the first is taken among equals.
        lengths: Of a point, likewise.
    """
    rows = rows[:: -(-len(rows) // MOST)]
    told = texts[rows]

    def judged(power: float, length: float) -> Likely:
        where = places.at(power, length)
        said, truth = where.alone(rows), where.labels[rows]
        scale = likeliest_scale(told, said, truth, where.usual_scale, WIDE)
        loss = float(F.cross_entropy(told + scale * said, truth, reduction="sum"))
        return Likely(where, scale, loss)

    best = min((judged(power, lengths[0]) for power in powers), key=lambda one: one.loss)
    others = [judged(best.placed.space.power, length) for length in lengths[1:]]
    return min([best, *others], key=lambda one: one.loss)
