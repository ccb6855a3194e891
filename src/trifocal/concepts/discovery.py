"""Visual concepts: what the support images show of each text concept.

CCLI (Zhang et al., arXiv 2307.15460) learns visual concepts from images, driven by text concepts,
through CLIP's text-image correlation. Its details are not public; this is a re-implementation in
its spirit. For every text concept the support images that fit it best are retrieved; the visual
concept is their mean, and how their classes are spread is its association with the classes.

Two steps no source mentions can be switched off: `debias` takes from each image what it scores for
*all* concepts (otherwise a few images are retrieved for most concepts), `column_mass` gives every
class the same total association (otherwise classes that attract many concepts win).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from trifocal.concepts.support import Support, unit

_CHUNK = 512  # concepts searched at a time; bounds the similarities held to 512 x N
Visual = Literal["reconstruct", "mean", "text", "raw"]

MAX_TOP = 8
LOW_SHARE = 0.5  # a smaller share of retrieved support images is worth a warning


@dataclass(frozen=True)
class VisualConcepts:
    """The visual side of I text concepts."""

    features: Tensor  # (I, d) unit rows, mean of the retrieved images
    association: Tensor  # (I, D) what a concept counts for each class
    images: Tensor  # (I, T) support images retrieved, the best first
    similarities: Tensor  # (I, T) their scores (without an image's offset, if de-biased)
    # (I,) mean score of the retrieved images above the concept's mean over all, in standard
    # deviations. A name is only a label of images; below 1 it says little.
    grounding: Tensor
    diagnostics: dict[str, float]  # see `diagnose`


def discover_visual_concepts(
    concepts: Tensor,
    support: Tensor,
    labels: Tensor,
    classes: int,
    top: int,
    debias: bool = True,
    smoothing: float = 0.01,
    column_mass: bool = True,
) -> VisualConcepts:
    """Retrieve support images by text concepts and average them.

    Args:
        concepts: (I, d) unit text features.
        support: (N, d) unit image features.
        labels: (N,) classes 0..D-1.
        classes: D.
        top: T, images a concept retrieves (at most N). More than a class has shots mixes classes.
        debias: Subtract from each image its mean score over the concepts.
        smoothing: Share of every association that is spread over all classes.
        column_mass: Let every class have the mass N / D; otherwise one factor gives all N.

    Example:
        >>> import torch, trifocal
        >>> concepts, support = torch.eye(3), torch.eye(3)[[0, 0, 1]]
        >>> found = trifocal.discover_visual_concepts(concepts, support, torch.tensor([0, 0, 1]), 2, 1)
        >>> found.features.shape
        torch.Size([3, 3])
    """
    top = min(top, len(support))
    offset = concepts.mean(0) @ support.T if debias else support.new_zeros(len(support))
    features, images, similarities, grounding = [], [], [], []
    for part in concepts.split(_CHUNK):
        scores = part @ support.T - offset
        chosen = best_columns(scores, top)
        found = scores.gather(1, chosen)
        spread = scores.std(1, correction=0).clamp_min(torch.finfo(scores.dtype).eps)
        features.append(unit(support[chosen].mean(1)) if top > 1 else support[chosen[:, 0]])
        images.append(chosen)
        similarities.append(found)
        grounding.append((found.mean(1) - scores.mean(1)) / spread)
    chosen = torch.cat(images)
    shares = class_shares(labels[chosen], classes, support.dtype)
    visual = torch.cat(features)
    return VisualConcepts(
        visual,
        associate(shares, len(support), smoothing, column_mass),
        chosen,
        torch.cat(similarities),
        torch.cat(grounding),
        diagnose(visual, shares, chosen, support),
    )


def retrieve(
    data: Support, top: int | None, debias: bool, smoothing: float = 0.01, column_mass: bool = True
) -> VisualConcepts:
    """Return the visual concepts of a support; see `discover_visual_concepts`.

    Without `top`, a concept retrieves as many images as there are shots, `MAX_TOP` at most.
    """
    assert data.concepts is not None
    top = top or min(data.shots, MAX_TOP)
    return discover_visual_concepts(
        data.concepts, data.features, data.labels, data.classes, top, debias, smoothing, column_mass
    )


def concept_features(
    visual: Visual, data: Support, ridge: float, mean: Tensor | None = None
) -> Tensor | None:
    """Return (I, d) what concepts are in image space, or None for features without concepts.

    It is the "mean" (I, d) of the retrieved images; "reconstruct", a weighted sum of all support
    images (with `ridge`); or a control: "text", the text concept itself, and "raw", no concepts
    (the feature's own axes).
    """
    assert data.concepts is not None
    if visual == "reconstruct":
        return unit(reconstruct(data.concepts, data.features, ridge))
    return {"mean": mean, "text": data.concepts, "raw": None}[visual]


def best_columns(scores: Tensor, top: int) -> Tensor:
    """Return the (R, top) columns of the highest scores in each row, ties by the lower column."""
    values, columns = scores.topk(top, dim=1)
    # topk may take any of several equal values; only rows where the last one has equals matter.
    tied = ((scores >= values[:, -1:]).sum(1) > top).nonzero().flatten()
    if len(tied):
        ordered = scores[tied].argsort(dim=1, descending=True, stable=True)
        columns[tied] = ordered[:, :top]
    columns = columns.sort(dim=1).values
    order = scores.gather(1, columns).argsort(dim=1, descending=True, stable=True)
    return columns.gather(1, order)


def class_shares(labels: Tensor, classes: int, dtype: torch.dtype) -> Tensor:
    """Return (I, D): how the T images of each concept, given their labels (I, T), are spread."""
    shares = torch.zeros(len(labels), classes, dtype=dtype, device=labels.device)
    ones = torch.full(labels.shape, 1 / labels.shape[1], dtype=dtype, device=labels.device)
    return shares.scatter_add_(1, labels, ones)


def associate(shares: Tensor, count: int, smoothing: float, column_mass: bool) -> Tensor:
    """Return the (I, D) association: shares (I, D) smoothed, then scaled for `count` images.

    With `column_mass` every column sums to N / D (a class without any concept stays 0 if nothing
    is smoothed); otherwise all of it sums to N.
    """
    concepts, classes = shares.shape
    smoothed = (1 - smoothing) * shares + smoothing / classes
    if not column_mass:
        return count / concepts * smoothed
    mass = smoothed.sum(0)
    return count / classes * smoothed / mass.where(mass > 0, torch.ones_like(mass))


def reconstruct(concepts: Tensor, support: Tensor, ridge: float) -> Tensor:
    """Return (I, d) text concepts (I, d) as weighted sums of support images (N, d), unit rows all.

    Ridge regression of each (centered) concept on the centered images: all images take part, with
    positive and negative weights that account for what the images have in common. The softest
    kind of retrieval; what the images cannot express of a text is lost, the gap between the
    modalities included. `ridge` is in mean squared lengths of a centered image.
    """
    images = support - support.mean(0)
    texts = concepts - concepts.mean(0)
    penalty = ridge * images.pow(2).sum(1).mean().clamp_min(torch.finfo(images.dtype).eps)
    count, width = images.shape
    if count < width:
        gram = images @ images.T
        gram.diagonal().add_(penalty)
        return torch.linalg.solve(gram, images @ texts.T).T @ images
    scatter = images.T @ images
    damped = scatter.clone()
    damped.diagonal().add_(penalty)
    return torch.linalg.solve(damped, scatter @ texts.T).T


def diagnose(features: Tensor, shares: Tensor, images: Tensor, support: Tensor) -> dict[str, float]:
    """Return what tells a healthy set of visual concepts from a degenerate one.

    `concepts`, `distinct` (different sets of images), `used_share` (of the support images (N, d)
    that some of the (I, d) concepts retrieved, T each), `empty_classes` (without any concept),
    `mass_ratio` (largest over mean class mass), `score_mean` and `score_std` (cosines of support
    images and concepts).
    """
    mass = shares.sum(0)
    sample = support[:: max(1, len(support) // 200)] @ features.T
    return {
        "concepts": float(len(features)),
        "distinct": float(len(images.sort(dim=1).values.unique(dim=0))),
        "used_share": len(images.unique()) / len(support),
        "empty_classes": float((mass == 0).sum()),
        "mass_ratio": float(mass.max() / mass.mean()),
        "score_mean": float(sample.mean()),
        "score_std": float(sample.std(correction=0)),
    }


def complaint(diagnostics: dict[str, float], debias: bool) -> str:
    """Return a sentence on degenerate concepts and what would help, or "" for healthy ones."""
    if not diagnostics["empty_classes"] and diagnostics["used_share"] >= LOW_SHARE:
        return ""
    remedy = "more text concepts" if debias else "debias=True, or more text concepts,"
    return (
        f"classes without any visual concept: {diagnostics['empty_classes']:.0f}; support images "
        f"that some concept retrieved: {100 * diagnostics['used_share']:.0f} %; {remedy} would help"
    )


def describe(diagnostics: dict[str, Any]) -> str:
    """Return the diagnostics as a line for people."""
    return (
        f"{diagnostics['concepts']:.0f} concepts, {diagnostics['distinct']:.0f} distinct, retrieve "
        f"{100 * diagnostics['used_share']:.0f} % of the support images; "
        f"{diagnostics['empty_classes']:.0f} classes without a concept; largest class mass "
        f"{diagnostics['mass_ratio']:.1f} x the mean; scores {diagnostics['score_mean']:.3f} ± "
        f"{diagnostics['score_std']:.3f}"
    )
