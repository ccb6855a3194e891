"""Are reasons true, and do they decide? What named concepts are worth, counted.

`names_right` compares names with what pictures are known to show. `concept_curves` asks how accurate a
head is that may use k named concepts a decision (insertion), and what is left of its accuracy
without its k strongest (deletion), after Petsiuk et al., BMVC 2018 (arXiv 1806.07421), with concepts in
place of pixels. A logit is a sum (`Head.explain`), so both are exact and nothing is fitted again.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from trifocal.concepts.evidence import Evidence
from trifocal.concepts.explanation import Term
from trifocal.concepts.head import Head

_ALL = 1 << 60  # more terms than any head has


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


@dataclass(frozen=True)
class ConceptCurves:
    """Accuracy against the number of named concepts.

    Attributes:
        insertion: (K + 1,) with class texts, biases and the k strongest concepts alone.
        deletion: (K + 1,) with all but the k strongest.
        full: With everything.
        names: Concepts named a picture.
    """

    insertion: tuple[float, ...]
    deletion: tuple[float, ...]
    full: float
    names: float


def concept_curves(
    head: Head, features: Tensor, labels: Tensor, among: Tensor | None, most: int = 8
) -> ConceptCurves:
    """Return a head's accuracy when it may use 0, 1, ..., `most` named concepts a decision.

    The strongest concept is the one with the largest share, by size, in what sets the class with the
    highest logit apart from the mean of all classes.

    Args:
        head: A fitted head with concepts.
        features: (n, d) of pictures that it was not fitted to.
        labels: (n,) their classes.
        among: (n, I) bools, which concepts may be named; None for all.
        most: K.
    """
    insertion, deletion, full, names = torch.zeros(most + 1), torch.zeros(most + 1), 0, 0
    for row, label in enumerate(labels.tolist()):
        asked = features[row : row + 1]
        base, concepts, rest = _parts(head, asked, None if among is None else among[row : row + 1])
        whole = base + concepts.sum(0) + rest
        best = int(whole.argmax())
        apart = concepts[:, best] - concepts.mean(1)
        concepts = concepts[apart.abs().argsort(descending=True)]
        names += len(concepts)
        full += int(best == label)
        for k in range(most + 1):
            some = concepts[:k].sum(0)
            insertion[k] += int((base + some).argmax()) == label
            deletion[k] += int((whole - some).argmax()) == label
    n = len(labels)
    return ConceptCurves(
        tuple((insertion / n).tolist()), tuple((deletion / n).tolist()), full / n, names / n
    )


def _parts(head: Head, asked: Tensor, among: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Return a picture's logits in parts: texts and biases (D,), concepts (K, D), the rest (D,)."""
    base, rest, columns = [], [], []
    classes = range(head.classes_)
    each = None if among is None else among.expand(len(classes), -1)
    for explained in head.explain(asked.expand(len(classes), -1), list(classes), _ALL, each):
        base.append(_sum(explained.terms, ("text", "bias")))
        rest.append(_sum(explained.terms, ("rest", "network", "image")))
        columns.append({t.index: t.value for t in explained.terms if t.kind == "concept"})
    found = list(dict.fromkeys(index for column in columns for index in column))
    concepts = [[column.get(index, 0.0) for column in columns] for index in found]
    return (
        torch.tensor(base),
        torch.tensor(concepts).reshape(len(found), len(classes)),
        torch.tensor(rest),
    )


def _sum(terms: tuple[Term, ...], kinds: tuple[str, ...]) -> float:
    return sum(term.value for term in terms if term.kind in kinds)
