"""Evidence: whether a picture shows a concept, so that no reason names what is not there.

A head's terms say what a concept adds to a logit, not whether the picture shows it; a sparse code
takes whatever atom helps. Evidence is asked first, and reasons are made of the concepts that pass.
It reads the unit feature x in one of two ways:

    from_words   p = softmax(s x·U)      the probability of a concept's words among all words, at the
                                         backbone's own scale s
    from_named   ŷ = b + x·w             ridge regression on pictures of which is known which concepts
                                         they show (captions, a scene graph)

The first needs nothing but the words. A backbone is trained to choose a picture's caption among others,
so words have to win over other words; how far a score stands above that of other pictures says less: a
yellow heart is "red heart" far more than most pictures are (docs/reasons.md has the figures). The
second knows what a name is worth: its threshold is the lowest at which names were right in the wanted
share of cases, each picture asked of a regression without it (leave-one-out, in closed form). Learning
concepts from pictures that show them is Kim et al., ICML 2018 (arXiv 1711.11279), and Yuksekgonul et
al., ICLR 2023 (arXiv 2205.15480).
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
LEAST = 0.3  # probability of words that are named, where no truth is known
_LEAST_SHOWN = 3  # pictures that must show a concept for it to be learned
_LEAST_NAMES = 10  # names that a share of right ones is counted over
_NEVER = 1e6  # offset of a concept that is never named
_RIDGES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)  # in mean variances of the features


@dataclass(frozen=True, eq=False)
class Evidence:
    """Scores of I concepts, and from which score on a concept may be named.

    Attributes:
        directions: (I, d).
        offsets: (I,) subtracted.
        least: Score from which on a picture shows a concept.
        precision: Share of names that were right on pictures that were not learned from; None where
            no truth was known.
        compete: Whether scores are probabilities among all concepts, instead of one by one.
    """

    directions: Tensor
    offsets: Tensor
    least: float
    precision: float | None = None
    compete: bool = False

    def __call__(self, features: Tensor) -> Tensor:
        """Return (n, I) scores of features (n, d), about 1 where a concept is sure."""
        x = unit(features.to(self.directions))
        scores = torch.addmm(-self.offsets, x, self.directions.T)
        return scores.softmax(1) if self.compete else scores

    def shown(self, features: Tensor) -> Tensor:
        """Return (n, I) bools: which concepts pictures show."""
        return self(features) >= self.least

    @property
    def what(self) -> str:
        """What it rests on, in a sentence for people."""
        if self.precision is not None:
            share = f"{100 * self.precision:.0f} %"
            return f"a concept is named where such names were right in {share} of cases"
        if not self.compete:  # of a head that was written before words competed
            return (
                f"a concept is named from {self.least:.1f} standard deviations above background on"
            )
        return (
            f"a concept is named where the model gives its words {100 * self.least:.0f} % or more "
            f"among all {len(self.offsets):,}; nobody has checked such names on your pictures"
        )

    @classmethod
    def from_words(cls, words: Tensor, scale: float, least: float = LEAST) -> Evidence:
        """Let words compete for a picture, of which nothing else is known.

        Args:
            words: (I, d) text features of all concepts.
            scale: The backbone's logit scale.
            least: Probability from which on words are named.
        """
        return cls(scale * unit(words), words.new_zeros(len(words)), least, compete=True)

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
        told = -1.0 if self.precision is None else self.precision
        numbers = torch.tensor([self.least, told, float(self.compete)])
        tensors = {"directions": self.directions, "offsets": self.offsets, "numbers": numbers}
        save_file({name: each.cpu().contiguous() for name, each in tensors.items()}, folder / FILE)

    @classmethod
    def read(cls, folder: Path) -> Evidence | None:
        """Return what `write` wrote, or None where there is none (heads of older versions)."""
        if not (folder / FILE).is_file():
            return None
        tensors = load_file(folder / FILE)
        least, precision, *compete = tensors["numbers"].tolist()
        if not all(bool(tensor.isfinite().all()) for tensor in tensors.values()):
            raise ValueError("evidence is not finite")
        told = None if precision < 0 else precision
        return cls(
            tensors["directions"], tensors["offsets"], least, told, bool(compete and compete[0])
        )


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
