"""Why a picture has its logit for a class: terms that add up to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Term:
    """One summand of a logit."""

    kind: str  # where it comes from: "text", "concept", "image", "network", "bias", "rest"
    value: float  # what it adds
    # Which concept or support image; None where the kind has one term only.
    index: int | None = None
    # How strongly the picture shows it (a cosine or an activation), where that is known.
    score: float | None = None
    images: tuple[int, ...] = ()  # support images behind it
    # How far the images behind a concept stand out for its text, in standard deviations; below 1
    # the concept's name says little about them.
    grounding: float | None = None


@dataclass(frozen=True)
class Explanation:
    """Why a picture has its logit for a class: terms that add up to it."""

    label: int
    logit: float
    terms: tuple[Term, ...]


def image_terms(values: Tensor, scores: Tensor, images: Tensor) -> list[Term]:
    """Return a term for each of m support images: what it adds, its cosine, and its number."""
    rows = zip(values.tolist(), scores.tolist(), images.tolist(), strict=True)
    return [Term("image", value, i, score, (i,)) for value, score, i in rows]


def concept_terms(
    indices: Sequence[int], values: Tensor, scores: Tensor, images: Tensor, grounding: Tensor
) -> list[Term]:
    """Return a term for each of m concepts by number.

    `values` (m,) are what each adds, `scores` (m,) how strongly the picture shows it, `images`
    (m, T) the support images behind it, `grounding` (m,) how far these stand out for its text.
    """
    columns = (part.tolist() for part in (values, scores, images, grounding))
    rows = zip(indices, *columns, strict=True)
    return [
        Term("concept", value, i, score, tuple(some), far) for i, value, score, some, far in rows
    ]


def without_concepts(terms: Sequence[Term], among: Tensor) -> list[Term]:
    """Return the terms, those of concepts that are not among (I,) bools summed into one "rest"."""
    barred = [term.kind == "concept" and not among[term.index or 0] for term in terms]
    kept = [term for term, out in zip(terms, barred) if not out]
    if not any(barred):
        return kept
    return [*kept, Term("rest", sum(term.value for term, out in zip(terms, barred) if out))]


def shortened(terms: Sequence[Term], top: int) -> tuple[Term, ...]:
    """Return the terms by size, at most `top` of each kind; the others summed into one "rest"."""
    ordered = sorted(terms, key=lambda term: -abs(term.value))
    kept: list[Term] = []
    rest, seen = 0.0, dict[str, int]()
    for term in ordered:
        seen[term.kind] = seen.get(term.kind, 0) + 1
        if term.kind == "rest" or seen[term.kind] > top:
            rest += term.value
        else:
            kept.append(term)
    if any(count > top or kind == "rest" for kind, count in seen.items()):
        kept.append(Term("rest", rest))
    return tuple(kept)
