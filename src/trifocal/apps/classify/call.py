"""`trifocal.classify(...)`: pictures to classes, by their names or by a fitted classifier."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from trifocal.api.model import Model, load
from trifocal.apps.classify.answers import Guess
from trifocal.apps.classify.classifier import Classifier, check_top, load_classifier
from trifocal.concepts.prompts import PHOTO, class_text
from trifocal.data.given import Pictures, listed
from trifocal.devices import pick_device
from trifocal.errors import UserError

if TYPE_CHECKING:
    from trifocal.clip import Clip


def classify(
    images: Pictures,
    by: str | os.PathLike[str] | Classifier | Sequence[str],
    *,
    model: str | os.PathLike[str] | Model | Clip | None = None,
    top: int = 3,
    templates: Sequence[str] = PHOTO,
    device: str = "auto",
    urls: bool = False,
) -> Any:
    """Return the most probable classes of pictures.

    Args:
        images: One picture or several, as `Model.encode_images` takes them.
        by: The folder of a fitted classifier (`trifocal classify fit`), or a loaded one; or class
            names, among which the model chooses without examples (zero-shot).
        model: For class names the model, `builtin` by default; for a classifier its backbone, where
            the recorded one cannot be found.
        top: Most classes of each picture.
        templates: Prompts with "{}" for a class name.
        device: Where a model that is named is put.
        urls: Fetch pictures whose path begins with http:// or https://.

    Returns:
        For one picture a tuple of `Guess` (`label`, `probability`), the most probable first; for
        several a list of such tuples.

    Raises:
        TypeError: something is no picture.
        UserError: a picture, the classifier or the model cannot be had.

    Example:
        >>> import trifocal
        >>> best, other = trifocal.classify("new.jpg", ["red box", "blue box"])
        >>> best.label
        'red box'
    """
    check_top(top)
    alone = listed(images)[1]
    if isinstance(by, str | os.PathLike):
        given: Any = getattr(model, "clip", model)
        by = load_classifier(by, model=given, device=pick_device(device))
    if isinstance(by, Classifier):
        labels, chances = by.saved.classes, _fitted(images, by, urls)
    else:
        if not by or not all(isinstance(name, str) for name in by):
            raise TypeError("classify wants class names as texts, or the folder of a classifier.")
        labels, chances = tuple(by), _zero_shot(images, by, model, templates, device, urls)
    best = chances.topk(min(top, len(labels)), dim=1)
    found = [
        tuple(Guess(labels[place], value) for place, value in zip(places, values))
        for places, values in zip(best.indices.tolist(), best.values.tolist())
    ]
    return found[0] if alone else found


def _zero_shot(
    images: Pictures,
    names: Sequence[str],
    model: str | os.PathLike[str] | Model | Clip | None,
    templates: Sequence[str],
    device: str,
    urls: bool,
) -> Tensor:
    """Return the probabilities (N, C) of classes that are known by their names alone."""
    chosen = load("builtin" if model is None else model, device)
    seen = torch.atleast_2d(chosen.encode_images(images, urls=urls))
    text = class_text(chosen.clip, list(names), tuple(templates)).float().cpu()
    return (chosen.logit_scale * seen @ torch.nn.functional.normalize(text, dim=-1).T).softmax(1)


def _fitted(images: Pictures, classifier: Classifier, urls: bool) -> Tensor:
    """Return the probabilities (N, C) of a fitted classifier's classes."""
    if classifier.saved.backbone.shown.get("as", "pictures") != "pictures":
        raise UserError(
            f"{classifier.name} was fitted to regions; ask it with `trifocal classify predict`."
        )
    model: Any = classifier.features.model
    raw = getattr(model, "image_features", None) is not None
    seen = Model(model).encode_images(images, normalize=not raw, urls=urls)
    return classifier.saved.head.predict_proba(torch.atleast_2d(seen))
