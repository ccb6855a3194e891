"""Are reasons true? Names of concepts, counted against what pictures are known to show."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from trifocal.concepts.evidence import Evidence
from trifocal.concepts.head import Head


@dataclass(frozen=True)
class NamesRight:
    """How often names were right.

    Attributes:
        pictures: How many were explained.
        named: Concepts named in all of them.
        right: How many of these names were true.
        true: Concepts that were true of the pictures, named or not.
        told: Pictures of which something was named.
    """

    pictures: int
    named: int
    right: int
    true: int
    told: int

    @property
    def precision(self) -> float:
        """Share of names that were true; 1 where nothing was named."""
        return self.right / self.named if self.named else 1.0

    @property
    def recall(self) -> float:
        """Share of true concepts that were named."""
        return self.right / self.true if self.true else 1.0

    @property
    def each(self) -> float:
        """Names a picture."""
        return self.named / self.pictures


def names_right(
    head: Head, features: Tensor, truth: Tensor, evidence: Evidence | None, count: int = 3
) -> NamesRight:
    """Return how often the concepts that explain predicted classes are true.

    Args:
        head: A fitted head with concepts.
        features: (n, d) of pictures that it was not fitted to.
        truth: (n, I) bools: which concepts pictures show.
        evidence: What decides on names; None names whatever the head would.
        count: Most concepts named a picture, the largest terms.
    """
    among = None if evidence is None else evidence.shown(features)
    named, right, told = 0, 0, 0
    for row, explained in enumerate(head.explain(features, top=count, among=among)):
        names = [term.index for term in explained.terms if term.kind == "concept"]
        named += len(names)
        right += sum(bool(truth[row, index]) for index in names if index is not None)
        told += bool(names)
    return NamesRight(len(features), named, right, int(truth.sum()), told)
