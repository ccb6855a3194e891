"""Fitting a few-shot classifier to one's own pictures, and measuring it on some it has not seen."""

from __future__ import annotations

import os
import random
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from trifocal.apps.classify.examples import (
    Examples,
    Parts,
    class_names,
    content_key,
    file_of,
    split,
)
from trifocal.apps.classify.features import PictureFeatures, part_shown, shown_for
from trifocal.apps.region_lists import GivenRegion
from trifocal.clip.encoder import FrozenClip
from trifocal.clip.trained_on import TrainedOn
from trifocal.concepts import head_registry
from trifocal.concepts.evidence import Evidence
from trifocal.concepts.head import Head
from trifocal.concepts.head_files import (
    Backbone,
    SavedHead,
    kept_images,
    make_head,
    save_head,
    thumbnail,
)
from trifocal.concepts.prompts import PHOTO, class_text
from trifocal.concepts.support import unit
from trifocal.concepts.vocabulary import (
    Vocabulary,
    concept_text,
    load_vocabulary,
)
from trifocal.data.images import read_image_file
from trifocal.data.regions import Box
from trifocal.errors import UserError
from trifocal.features.in_training import digests
from trifocal.features.unreadable import Unreadable
from trifocal.metrics.accuracy import accuracy
from trifocal.metrics.intervals import wilson
from trifocal.progress import Progress, Quiet
from trifocal.tally import MOST_LEFT_OUT

_LEAST_CHECKED = 10  # held-out pictures from which a head learns how sure it may be
_VIEWS = 10  # random views of a support picture, as published recipes have them


@dataclass(frozen=True)
class Fitted:
    """A classifier that was just fitted.

    Attributes:
        saved: What goes to disk.
        examples: What it was fitted to and measured on.
        parts: Which is which.
        small: Small pictures of examples that were opened for the fit, by their numbers.
    """

    saved: SavedHead
    examples: Examples
    parts: Parts
    small: Mapping[int, Image.Image]

    def save(self, folder: str | os.PathLike[str], *, force: bool = False) -> None:
        """Write the model folder, with small pictures of the support.

        Args:
            folder: Where to.
            force: Replace an older classifier.

        Raises:
            UserError: the folder holds something, or cannot be written.
        """
        small: dict[int, Image.Image] = {}
        for row in kept_images(self.saved.labels):
            index = self.parts.support[row]
            if index in self.small:
                small[row] = self.small[index]
            else:  # its features were known already, so it was not opened
                small[row] = thumbnail(part_shown(*self.examples.regions[index].open()))
        save_head(folder, self.saved, small, force=force)


def fit_classifier(
    examples: Examples,
    model: FrozenClip,
    *,
    method: str = head_registry.DEFAULT_HEAD,
    settings: Mapping[str, Any] | None = None,
    names: Sequence[str] | None = None,
    templates: Sequence[str] | None = None,
    vocabulary: Vocabulary | None = None,
    shots: int | None = None,
    views: int | None = None,
    holdout: float = 0.2,
    seed: int = 1,
    most_left_out: float = MOST_LEFT_OUT,
    backbone: str | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> Fitted:
    """Fit a head to labeled pictures, and measure it on some that it was not fitted to.

    Args:
        examples: The pictures.
        model: A Clip, or what embeds as one does; it stays as it is.
        method: A key of `trifocal.concepts.head_registry.HEADS`.
        settings: The head's parameters that differ from its defaults.
        names: D class names for the prompts, by default the examples' own.
        templates: Prompts with "{}" for the class name; by default "a photo of a {}.".
        vocabulary: Text concepts, for a head with concepts; by default the shipped ones.
        shots: Pictures of a class to fit to; None for all.
        views: Random views of each support picture, by default 10; 0 for the plain one.
        holdout: Share of each class to measure on; 0 measures nothing.
        seed: Of all that is drawn.
        most_left_out: The largest share of the pictures, of those to fit to and of those to measure
            on, that may turn out broken; they are left out, counted and named.
        backbone: What loads the model, by default its name.
        cache: Where features are kept.
        progress: Told how far it is.

    Raises:
        UserError: more pictures than may be cannot be read, or all of a class; the method, its
            settings or the shares do not do; or something was given that has no effect on the
            method or on regions.
    """
    progress = progress or Quiet()
    if views is not None and views < 0:
        raise UserError(f"--views is {views}; give 0 for the plain picture, or more.")
    params = {"scale": model.logit_scale.item(), "seed": seed, **(settings or {})}
    untrained = check_head(method, params)
    if templates and not untrained.reads_text:
        raise UserError(f"{method} reads no texts, so --template has no effect; leave it out.")
    if vocabulary is not None and not untrained.wants_concepts:
        raise UserError(f"{method} has no text concepts; leave out --vocabulary.")
    templates = tuple(templates or PHOTO)
    parts = split(examples, shots, holdout, seed)
    names = list(names or class_names(examples.folders))
    shown = shown_for(model, boxes=examples.have_boxes)
    features = PictureFeatures(model, shown)
    if views and not features.draws_views:
        raise UserError("a region is shown in one way, so --views has no effect; leave it out.")
    views = _VIEWS if views is None else views
    regions, labels = examples.regions, torch.tensor(examples.labels)
    text = class_text(model, names, templates).float().cpu()
    known = (vocabulary or load_vocabulary()) if untrained.wants_concepts else None
    told: dict[str, Any] = {"cache": cache, "progress": progress}
    words = None
    if known is not None:
        words = concept_text(model, known, fingerprint=features.fingerprint, **told)
    # What is measured on is shown plainly; where the support is, too, each picture is opened once.
    several = views > 0 and features.draws_views
    read = parts.support if several else sorted({*parts.support, *parts.held_out})
    place = {index: row for row, index in enumerate(read)}
    kept = {parts.support[row] for row in kept_images(tuple(labels[parts.support].tolist()))}
    small: dict[int, Image.Image] = {}

    def seen(row: int, image: Image.Image, boxes: tuple[Box, ...]) -> None:
        if read[row] in kept:
            small[read[row]] = thumbnail(part_shown(image, boxes))

    broken = Unreadable(examples.name, most_left_out)
    drawn = {"views": views, "seed": seed, "seen": seen}
    made = features(_of(regions, read), **drawn, unreadable=broken, **told)
    tested = Unreadable(f"{examples.name}, held out", most_left_out)
    asked = None
    if several and parts.held_out:
        asked = features(_of(regions, parts.held_out), unreadable=tested, **told)
        asked = asked[~asked.isnan().flatten(1).any(1)]
    parts = parts.only(_readable(regions, {*parts.support, *parts.held_out}, broken, tested))
    _check_classes(examples, parts.fitted)

    def fitted(chosen: Sequence[int]) -> tuple[Head, dict[str, Any]]:
        given = (made[[place[index] for index in chosen]], labels[list(chosen)], text, words)
        return fit_head(method, params, *given, keep=tuple(settings or {}))

    head, chosen = fitted(parts.fitted)
    metrics: dict[str, Any] = {}
    checked: Tensor | None = None
    if parts.held_out:
        if asked is None:
            asked = made[[place[index] for index in parts.held_out]]
        checked = head.logits(asked[:, 0])
        metrics = _measured(head, asked[:, 0], labels[parts.held_out], unit(text), parts.protocol)
        metrics |= _left_out(tested)
    if parts.fitted != parts.support:
        head, chosen = fitted(parts.support)
    if checked is not None and len(checked) >= _LEAST_CHECKED and not hasattr(head, "known_"):
        head.calibrate(checked, labels[parts.held_out])
    saved = SavedHead(
        method=method,
        head=head,
        folders=examples.folders,
        classes=tuple(names),
        templates=tuple(templates),
        concepts=known.names if known else (),
        images=tuple(examples.names[index] for index in parts.support),
        keys=tuple(content_key(regions[index]) for index in parts.support),
        labels=tuple(examples.labels[index] for index in parts.support),
        trained_on=_remembered(regions[index] for index in parts.support),
        evidence=None if words is None else Evidence.from_words(words, model.logit_scale.item()),
        backbone=Backbone(backbone or model.name, features.fingerprint, shown),
        drawn={
            "shots": shots,
            "views": views,
            "holdout": holdout,
            "seed": seed,
            **_left_out(broken),
        },
        metrics=metrics,
        note=_note(parts, chosen, broken, tested),
    )
    return Fitted(saved, examples, parts, small)


def check_head(method: str, params: Mapping[str, Any]) -> Head:
    """Return a head that is not fitted; refuse a method or a parameter that does not do.

    Raises:
        UserError: there is no such method or parameter, or it needs other features.
    """
    head = make_head(head_registry.HEADS, method, params)
    if head.wants_projection:
        raise UserError(
            f"{method} works on features from before the projection, which a classifier folder "
            "does not keep; choose another --method."
        )
    return head


def fit_head(
    method: str,
    params: Mapping[str, Any],
    support: Tensor,
    labels: Tensor,
    text: Tensor,
    words: Tensor | None = None,
    *,
    keep: Collection[str] = (),
) -> tuple[Head, dict[str, Any]]:
    """Fit a head; what it would select on validation data is selected inside the support.

    A quarter of each class is held out for that, and the head is then fitted to everything with
    what was chosen. A head that selects something by itself is left to do so.

    Args:
        method: A key of `trifocal.concepts.head_registry.HEADS`.
        params: The head's parameters.
        support: (N, V, d) features.
        labels: (N,) classes.
        text: (D, d) class texts.
        words: (I, d) text concepts.
        keep: Parameters that are not to be selected.

    Returns:
        The head, and what was chosen, by the names of its parameters.
    """
    head = make_head(head_registry.HEADS, method, params)
    head.fit(support, labels, text, words)
    given, selected = head.get_params(), _selected(head)
    alone = any(value != given[name] for name, value in selected.items())
    if not head.searches or not selected or alone or selected.keys() & set(keep):
        return head, {}
    rng = random.Random(head.seed)
    groups = [(labels == label).nonzero().flatten().tolist() for label in labels.unique()]
    judged = {i for group in groups for i in rng.sample(group, -(-(len(group) - 1) // 4))}
    if not judged:
        return head, {}
    rows, rest = sorted(judged), [i for i in range(len(labels)) if i not in judged]
    trial = make_head(head_registry.HEADS, method, params)
    val = (support[rows].mean(1), labels[rows])
    chosen = _selected(trial.fit(support[rest], labels[rest], text, words, val))
    head = make_head(head_registry.HEADS, method, {**params, **chosen})
    return head.fit(support, labels, text, words), chosen


def _selected(head: Head) -> dict[str, Any]:
    """Return the numbers that a fitted head has for parameters of its own: alpha_ for alpha."""
    found = {name: getattr(head, f"{name}_", None) for name in head.get_params()}
    return {name: value for name, value in found.items() if isinstance(value, int | float)}


def _note(parts: Parts, chosen: Mapping[str, Any], *broken: Unreadable) -> str:
    """Return what is to be known of a fit beside its numbers."""
    told = ", ".join(f"{name} {value:g}" for name, value in chosen.items())
    said = [one.note_of().removeprefix("; ") for one in broken if one.found]
    notes = [parts.note, told and f"chosen inside the support: {told}", *said]
    return "; ".join(filter(None, notes))


def _readable(
    regions: Sequence[GivenRegion], chosen: Collection[int], *broken: Unreadable
) -> set[int]:
    """Return which of the chosen examples nobody noted as broken."""
    return {index for index in chosen if not any(regions[index].image in one for one in broken)}


def _check_classes(examples: Examples, fitted: Collection[int]) -> None:
    """Refuse a class of which no picture could be read."""
    there = {examples.labels[index] for index in fitted}
    for label, folder in enumerate(examples.folders):
        if label not in there:
            raise UserError(
                f"no picture of the class {folder!r} that was to be fitted to can be read; restore "
                "its files, or take the class out."
            )


def _remembered(regions: Iterable[GivenRegion]) -> TrainedOn:
    """Return the files of pictures, as a test of the classifier will look for them."""
    return TrainedOn.of(digests([partial(read_image_file, file_of(each)) for each in regions]))


def _left_out(broken: Unreadable) -> dict[str, Any]:
    """Return the account of broken pictures, where there are any."""
    found = (broken.account() or {}).get("unreadable")
    return {"unreadable": found} if found else {}


def _measured(
    head: Head, features: Tensor, labels: Tensor, text: Tensor, protocol: str
) -> dict[str, Any]:
    """Return how a head does on held-out pictures, and zero-shot CLIP on the same."""
    logits = head.logits(features)
    value = accuracy(logits, labels)
    interval = wilson(value, len(labels))
    return {
        "acc1": value,
        "low": interval.low,
        "high": interval.high,
        "n": len(labels),
        "zero_shot_acc1": accuracy(unit(features) @ text.T, labels),
        "chance": 1 / logits.shape[1],
        "protocol": protocol,
    }


def _of(regions: Sequence[GivenRegion], chosen: Sequence[int]) -> list[GivenRegion]:
    return [regions[index] for index in chosen]
