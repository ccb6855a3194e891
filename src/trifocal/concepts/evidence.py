"""Evidence: whether a picture shows a concept, so that no reason names what is not there.

A head's terms say what a concept adds to a logit, not whether the picture shows it; a sparse code
takes whatever atom helps. Evidence is asked first, and reasons are made of the concepts that pass.
It is linear in the unit feature x and calibrated on other pictures, in one of two ways:

    from_background  z = (x·u − m) / s        m, s: of u's scores where the concept is absent
    from_named       ŷ = b + x·w              ridge regression on pictures of which is known
                                              which concepts they show (captions, a scene graph)

The first needs nothing but pictures. Scores of pictures *with* the concept are among them, so m and s
are taken from the lower half, which is without it as long as fewer than a quarter of the pictures
show it. The second knows what a name is worth: its threshold is the lowest at which names were right
in the wanted share of cases, each picture asked of a regression without it (leave-one-out, in closed
form). Learning concepts from pictures that show them is Kim et al., ICML 2018 (arXiv 1711.11279), and
Yuksekgonul et al., ICLR 2023 (arXiv 2205.15480).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from trifocal.concepts.support import unit
from trifocal.errors import UserError

FILE = "evidence.safetensors"
PRECISION = 0.9  # wanted of names: more than is asked for, as new pictures are never quite the old
FALSE_NAMES = 0.1  # expected in a picture at most, where nothing is known but a background
_QUARTILE = 0.6745  # standard deviations of a normal distribution below its median
_PRIOR = 10  # pictures that the spread of an average concept counts for
_LEAST_SHOWN = 3  # pictures that must show a concept for it to be learned
_LEAST_NAMES = 10  # names that a share of right ones is counted over
_NEVER = 1e6  # offset of a concept that is never named
_RIDGES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)  # in mean variances of the features


@dataclass(frozen=True, eq=False)
class Evidence:
    """Linear scores of I concepts, and from which score on a concept may be named.

    Attributes:
        directions: (I, d).
        offsets: (I,) subtracted.
        least: Score from which on a picture shows a concept.
        precision: Share of names that were right on pictures that were not learned from; None where
            no truth was known.
    """

    directions: Tensor
    offsets: Tensor
    least: float
    precision: float | None = None

    def __call__(self, features: Tensor) -> Tensor:
        """Return (n, I) scores of features (n, d): standard deviations, or shares of certainty."""
        x = unit(features.to(self.directions))
        return torch.addmm(-self.offsets, x, self.directions.T)

    def shown(self, features: Tensor) -> Tensor:
        """Return (n, I) bools: which concepts pictures show."""
        return self(features) >= self.least

    @property
    def what(self) -> str:
        """What it rests on, in a sentence for people."""
        if self.precision is None:
            return (
                f"a concept is named from {self.least:.1f} standard deviations above background on"
            )
        return f"a concept is named where such names were right in {100 * self.precision:.0f} % of cases"

    @classmethod
    def from_background(cls, concepts: Tensor, background: Tensor) -> Evidence:
        """Calibrate concepts (I, d) on pictures (n, d) of which nothing is known.

        Args:
            concepts: What their scores are products with: texts, or visual concepts.
            background: Features of other pictures; a head's own support does.
        """
        concepts, x = unit(concepts), unit(background).to(concepts)
        mean = x.mean(0)
        scores = (x - mean) @ concepts.T
        median = scores.median(0).values
        below = (median - scores).clamp_min(0)
        own = (below.pow(2).sum(0) / (below > 0).sum(0).clamp_min(1)).sqrt()
        usual = own.median()
        spread = ((len(x) * own.pow(2) + _PRIOR * usual**2) / (len(x) + _PRIOR)).sqrt()
        spread = spread.clamp_min(torch.finfo(spread.dtype).eps)
        center = scores.quantile(0.25, dim=0) + _QUARTILE * spread
        directions = concepts / spread[:, None]
        tail = 1 - min(0.5, FALSE_NAMES / len(concepts))
        least = float(torch.special.ndtri(torch.tensor(tail, dtype=torch.float64)))
        return cls(directions, directions @ mean + center / spread, least)

    @classmethod
    def from_named(cls, pictures: Tensor, shown: Tensor, precision: float = PRECISION) -> Evidence:
        """Learn concepts from pictures of which is known what they show.

        Args:
            pictures: (n, d) features.
            shown: (n, I) bools: which concepts each shows.
            precision: Share of names that is to be right.

        Raises:
            UserError: no concept is shown by enough pictures, or none can be named so surely.
        """
        x, truth = unit(pictures), shown.to(pictures)
        known = shown.sum(0) >= _LEAST_SHOWN
        if not bool(known.any()):
            raise UserError(
                f"no concept is shown by {_LEAST_SHOWN} pictures or more; give more pictures whose "
                "concepts are known."
            )
        mean, share = x.mean(0), truth.mean(0)
        u, s, v = torch.linalg.svd(x - mean, full_matrices=False)
        inner = u.T @ (truth - share)  # (k, I)
        best = None
        for ridge in _RIDGES:
            kept = s.pow(2) / (s.pow(2) + ridge * s.pow(2).mean())
            leverage = u.pow(2) @ kept + 1 / len(x)
            errors = (truth - share - u @ (kept[:, None] * inner)) / (1 - leverage)[:, None]
            loss = float(errors[:, known].pow(2).mean())
            if best is None or loss < best[0]:
                best = (loss, kept, truth - errors)
        assert best is not None
        _, kept, asked = best
        least, reached = _threshold(asked[:, known], shown[:, known], precision)
        shrunk = torch.where(s > s[0] * torch.finfo(s.dtype).eps * len(x), kept / s, 0)
        directions = (v.T @ (shrunk[:, None] * inner)).T * known[:, None]
        offsets = torch.where(known, directions @ mean - share, _NEVER)
        return cls(directions, offsets, least, reached)

    def write(self, folder: Path) -> None:
        """Write it beside a head."""
        numbers = torch.tensor([self.least, -1.0 if self.precision is None else self.precision])
        tensors = {"directions": self.directions, "offsets": self.offsets, "numbers": numbers}
        save_file({name: each.cpu().contiguous() for name, each in tensors.items()}, folder / FILE)

    @classmethod
    def read(cls, folder: Path) -> Evidence | None:
        """Return what `write` wrote, or None where there is none (heads of older versions)."""
        if not (folder / FILE).is_file():
            return None
        tensors = load_file(folder / FILE)
        least, precision = tensors["numbers"].tolist()
        if not all(bool(tensor.isfinite().all()) for tensor in tensors.values()):
            raise ValueError("evidence is not finite")
        told = None if precision < 0 else precision
        return cls(tensors["directions"], tensors["offsets"], least, told)


def _threshold(scores: Tensor, truth: Tensor, precision: float) -> tuple[float, float]:
    """Return the lowest score from which on so large a share is true, and that share.

    Raises:
        UserError: it never is.
    """
    order = scores.flatten().argsort(descending=True)
    right = truth.flatten()[order].double().cumsum(0)
    share = right / torch.arange(1, len(right) + 1, device=right.device)
    enough = (share >= precision).nonzero().flatten()
    enough = enough[enough >= _LEAST_NAMES - 1]
    if not len(enough):
        raise UserError(
            f"no concept can be told from the pictures so that {100 * precision:.0f} % of names "
            "are right; ask for less, or give other concepts."
        )
    last = int(enough[-1])
    return float(scores.flatten()[order[last]]), float(share[last])
