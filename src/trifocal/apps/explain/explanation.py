"""Explanations of a region of a picture: the entries of a bank that most likely hold.

The score is RCA's at test time (arXiv 2303.10428): the cosine of the region's embedding with the
explanation's (see `regions.encoder`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from trifocal.data.regions import Region
from trifocal.errors import UserError
from trifocal.progress import Progress, Quiet
from trifocal.regions.bank import Bank
from trifocal.regions.encoder import RegionModel, region_encoder


@dataclass(frozen=True)
class Explanation:
    """An entry of a bank as it fits a region.

    Attributes:
        rank: 1 for the likeliest.
        score: Cosine of region and text.
        text: The explanation.
    """

    rank: int
    score: float
    text: str

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON output holds it."""
        return {"rank": self.rank, "score": round(self.score, 6), "text": self.text}


def explain(
    model: RegionModel,
    regions: Sequence[Region],
    bank: Bank,
    top: int = 5,
    *,
    progress: Progress | None = None,
) -> list[list[Explanation]]:
    """Return the likeliest explanations of each region, best first.

    Args:
        model: A Clip, a method on regions, or what `regions.region_encoder` returns; the one that
            the bank was loaded with.
        regions: N regions; all boxes of a region together mark it.
        bank: What to choose from.
        top: How many of each.
        progress: Told of every region.

    Raises:
        UserError: a picture cannot be read, or `top` is below 1.
    """
    check_top(top)
    if not regions:
        return []
    queries = region_encoder(model).encode_regions(regions, progress=progress or Quiet())
    scores, places = bank.best(queries, top)
    return [
        [
            Explanation(rank, score, bank.texts[place])
            for rank, (score, place) in enumerate(zip(row, found), start=1)
        ]
        for row, found in zip(scores.tolist(), places.tolist())
    ]


def check_top(top: int) -> None:
    """Refuse to rank nothing.

    Raises:
        UserError: `top` is below 1.
    """
    if top < 1:
        raise UserError(f"top is {top}; ask for at least 1 explanation.")
