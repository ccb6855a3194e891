"""A fitted head on disk, with all that is needed to use and to explain it later.

A folder with `head.safetensors` (what was learned), `head.json` (format version, method and its
parameters, plain fitted values, classes, prompts, concepts, support images, the backbone with its
fingerprint and how it is shown a picture, metrics), `evidence.safetensors` (which concepts may be
named), `trained_on.safetensors` (hashes of the support's files, as a model has them) and `support/`
(small pictures of the support, so that an explanation can show them when the originals are gone).
Nothing is pickled, and nothing in it tells when it was made: the same fit writes the same files.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from trifocal import config
from trifocal.clip.hub import folder_of
from trifocal.clip.trained_on import TrainedOn
from trifocal.concepts.evidence import Evidence
from trifocal.concepts.head import Head
from trifocal.data.images import BadImage, open_image
from trifocal.data.keys import check_facts
from trifocal.errors import UserError, nearest
from trifocal.files import atomic_folder, check_folder

FORMAT = 1
_KEYS = (
    "format", "method", "params", "fitted", "backbone", "drawn", "metrics", "note", "folders",
    "classes", "templates", "concepts", "support",
)  # fmt: skip
FACTS, TENSORS, SUPPORT = "head.json", "head.safetensors", "support"
_KIND, _FILES = "classifier", (FACTS, TENSORS, f"{SUPPORT}/*.webp")
_HUB_FILES = (*_FILES, "*.safetensors")
# What a file of another form makes its parts raise.
_ODD = (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError, RecursionError)
_INNER = "inference."  # before the names of what a head of version 0.1.0 had inside
THUMBNAIL = 96  # pixels: the side of a support image as it is kept
MOST_THUMBNAILS = 2000  # some 3 kB each; beyond it, each class keeps the first of its images

Heads = Mapping[str, Callable[..., Head]]


@dataclass(frozen=True)
class Backbone:
    """The frozen model that a head's features come from.

    Attributes:
        name: What loads it.
        sha256: Its fingerprint.
        shown: How it is shown a picture, as plain data.
    """

    name: str
    sha256: str
    shown: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SavedHead:
    """A fitted head, and what its numbers stand for.

    Attributes:
        method: Its key among the heads.
        head: The head.
        folders: D names of the classes where they were found: class folders, labels of a list.
        classes: D names as the prompts say them.
        templates: The prompts.
        concepts: I names; empty for a head without concepts.
        images: N names of the support images, with "/".
        keys: N hashes of the support images' content, so that nobody tests on them unawares.
        labels: N class numbers of the support images.
        backbone: What made the features.
        drawn: How the support was drawn: shots, views, holdout, seed.
        metrics: What was measured on held-out pictures; empty where nothing could be.
        note: How it was fitted and measured, in a sentence.
        trained_on: The support images' files, whatever part of them the head was shown.
        evidence: Which concepts a picture shows; None for a head without concepts, or of a version
            that did not ask.
        folder: Where it was read from; None for one that was not on disk yet.
    """

    method: str
    head: Head
    folders: tuple[str, ...]
    classes: tuple[str, ...]
    templates: tuple[str, ...]
    concepts: tuple[str, ...]
    images: tuple[str, ...]
    keys: tuple[str, ...]
    labels: tuple[int, ...]
    backbone: Backbone
    drawn: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""
    trained_on: TrainedOn = field(default_factory=TrainedOn)
    evidence: Evidence | None = None
    folder: Path | None = None

    def thumbnail(self, index: int) -> Image.Image | None:
        """Return a support image as it was kept, RGB, or None where it was not."""
        if self.folder is None:
            return None
        try:
            return open_image(self.folder / SUPPORT / _file(index))
        except BadImage:
            return None


def make_head(heads: Heads, method: str, params: Mapping[str, Any] | None = None) -> Head:
    """Return a head that is not fitted yet.

    Args:
        heads: The known heads by name.
        method: One of them.
        params: Parameters that differ from its defaults.

    Raises:
        UserError: there is no such head, or it has no such parameter, or not with such a value.
    """
    if method not in heads:
        raise UserError(
            f"there is no method {method!r}.{nearest(method, heads)} There are: {', '.join(heads)}."
        )
    head = heads[method]()
    defaults = config.plain(head.get_params())
    return config.build(type(head), {**defaults, **(params or {})})


def save_head(
    folder: str | os.PathLike[str],
    saved: SavedHead,
    pictures: Mapping[int, Image.Image],
    *,
    force: bool = False,
) -> None:
    """Write a fitted head.

    Args:
        folder: Where to.
        saved: What to write.
        pictures: Support images to keep, by their number, as `thumbnail` makes them.
        force: Replace an older one.

    Raises:
        UserError: the folder holds something, or cannot be written.
    """
    tensors, values = saved.head.state()
    # A copy of each: safetensors refuses tensors that share memory.
    learned = {name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()}
    with atomic_folder(folder, _KIND, force=force, older=_FILES) as aside:
        save_file(learned, aside / TENSORS)
        (aside / FACTS).write_text(
            _facts(saved, values), encoding="utf-8", errors="backslashreplace"
        )
        saved.trained_on.write(aside)
        if saved.evidence is not None:
            saved.evidence.write(aside)
        (aside / SUPPORT).mkdir()
        for index, picture in sorted(pictures.items()):
            picture.save(aside / SUPPORT / _file(index), format="WEBP", quality=85)


def load_head(folder: str | os.PathLike[str], heads: Heads) -> SavedHead:
    """Read what `save_head` wrote; the logits are the same bit for bit.

    Args:
        folder: Where from: a folder, or the id of one that was pushed to the Hub.
        heads: The known heads by name.

    Raises:
        UserError: the folder holds no fitted head, a damaged one, or one of another version.
    """
    path = folder_of(folder, _HUB_FILES)
    if not (path / FACTS).is_file():
        what = "holds no fitted head" if path.is_dir() else "is no folder"
        raise UserError(
            f"{path} {what} (there is no {FACTS}); give what `trifocal classify fit` wrote."
        )
    try:
        facts = json.loads((path / FACTS).read_text(encoding="utf-8"))
        if not isinstance(facts, dict) or "format" not in facts:
            raise ValueError
    except (ValueError, OSError, KeyError, TypeError, RecursionError):
        raise _damaged(path, FACTS) from None
    try:
        check_facts(facts, _KEYS, (FORMAT,))
    except UserError as error:
        raise UserError(f"{path / FACTS}: {error}") from None
    try:
        tensors = load_file(path / TENSORS)
        if "profile" in facts["params"]:
            facts, tensors = _one_of_two(heads, facts, tensors)
        head = make_head(heads, facts["method"], facts["params"])
        head.load_state(tensors, dict(facts["fitted"]))
        evidence = Evidence.read(path)
        if not all(bool(tensor.isfinite().all()) for tensor in tensors.values()):
            raise ValueError("what was learned is not finite")
    except (SafetensorError, OSError, *_ODD) as error:
        if isinstance(error, UserError):
            raise UserError(f"{path} was written by another version: {error}") from None
        raise _damaged(path, TENSORS) from None
    try:
        return SavedHead(
            method=facts["method"],
            head=head,
            folders=tuple(facts["folders"]),
            classes=tuple(facts["classes"]),
            templates=tuple(facts["templates"]),
            concepts=tuple(facts["concepts"]),
            images=tuple(one["image"] for one in facts["support"]),
            keys=tuple(one["sha256"] for one in facts["support"]),
            labels=tuple(one["label"] for one in facts["support"]),
            backbone=Backbone(**facts["backbone"]),
            drawn=facts["drawn"],
            metrics=facts["metrics"],
            note=facts["note"],
            trained_on=TrainedOn.read(path),
            evidence=evidence,
            folder=path,
        )
    except _ODD:
        raise _damaged(path, FACTS) from None


def check_free(folder: str | os.PathLike[str], *, force: bool = False) -> None:
    """Refuse a folder whose content a fitted head must not replace.

    Raises:
        UserError: it holds something, and that is no fitted head or `force` is not given; or it
            is a file.
    """
    check_folder(folder, _KIND, force=force, older=_FILES)


def thumbnail(image: Image.Image) -> Image.Image:
    """Return a picture at the size in which support images are kept: its central square."""
    return ImageOps.fit(image.convert("RGB"), (THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)


def kept_images(labels: tuple[int, ...], most: int = MOST_THUMBNAILS) -> list[int]:
    """Return which of N support images are kept: all, or the first ones of each class."""
    if len(labels) <= most:
        return list(range(len(labels)))
    share, seen = max(1, most // len(set(labels))), dict[int, int]()
    kept = []
    for index, label in enumerate(labels):
        seen[label] = seen.get(label, 0) + 1
        if seen[label] <= share:
            kept.append(index)
    return kept


def _facts(saved: SavedHead, values: Mapping[str, Any]) -> str:
    """Return head.json."""
    support = [
        {"image": image, "sha256": key, "label": label}
        for image, key, label in zip(saved.images, saved.keys, saved.labels, strict=True)
    ]
    facts = {
        "format": FORMAT,
        "method": saved.method,
        "params": saved.head.get_params(),
        "fitted": values,
        "backbone": saved.backbone,
        "drawn": saved.drawn,
        "metrics": saved.metrics,
        "note": saved.note,
        "folders": saved.folders,
        "classes": saved.classes,
        "templates": saved.templates,
        "concepts": saved.concepts,
        "support": support,
    }
    return json.dumps(config.plain(facts), indent=1, ensure_ascii=False) + "\n"


def _one_of_two(
    heads: Heads, facts: dict[str, Any], tensors: dict[str, Tensor]
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return a "ccli" of version 0.1.0 as what it is today: a concept map, or CCLI.

    There was one head with an inference inside. `head="map"`, the default, is the concept map; the
    others are readings of CCLI. None stood for what the profile said, or for what the head took.
    """
    params = dict(facts["params"])
    recommended = params["profile"] == "recommended"
    reading = params["head"] or ("map" if recommended else "full")
    is_map = reading == "map"
    meant = dict.fromkeys(("debias", "column_mass", "text_residual"), recommended)
    meant |= {"head": reading, "visual": "reconstruct" if is_map else "mean"}
    params |= {name: value for name, value in meant.items() if params[name] is None}
    method: str = "ccli" if facts["method"] == "ccli-full" else facts["method"]
    if is_map:
        control = {"text": "concept-map-text", "raw": "concept-map-raw"}
        method = control.get(params["visual"], "concept-map")
    known = make_head(heads, method).get_params()
    params = {name: value for name, value in params.items() if name in known}
    unused = {"association_", "text_concepts_", "alpha_", "beta_", "penalty_"}
    fitted = _flat(facts["fitted"], unused)
    facts = {**facts, "method": method, "params": params, "fitted": fitted}
    return facts, _flat(tensors, unused if is_map else set())


def _flat(values: dict[str, Any], unused: set[str]) -> dict[str, Any]:
    """Return fitted values without the inference around some, whose counted where both had one."""
    inner = {name.removeprefix(_INNER): v for name, v in values.items() if name.startswith(_INNER)}
    outer = {name: value for name, value in values.items() if not name.startswith(_INNER)}
    return {name: value for name, value in {**outer, **inner}.items() if name not in unused}


def _file(index: int) -> str:
    return f"{index:05d}.webp"


def _damaged(path: Path, name: str) -> UserError:
    return UserError(f"{path / name} is damaged; fit the classifier again.")
