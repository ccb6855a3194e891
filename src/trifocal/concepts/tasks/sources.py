"""Where few-shot tasks come from, by name: a data set, a folder of pictures, a file of features."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trifocal.clip.encoder import Encoder
from trifocal.concepts.datasets.coop import DATASETS, read_dataset
from trifocal.concepts.datasets.dataset import ImageClasses
from trifocal.concepts.datasets.domains import read_domains
from trifocal.concepts.datasets.imagenet_shifts import SHIFTS, ShiftedTest, read_shift
from trifocal.concepts.datasets.split_files import read_split
from trifocal.concepts.prompts import Protocol
from trifocal.concepts.tasks.feature_source import FeatureFileSource, named_classes
from trifocal.concepts.tasks.picture_source import PictureSource, read_shift_folder
from trifocal.concepts.tasks.task import TaskSource
from trifocal.errors import UserError
from trifocal.features.files import NamedFeatures, read_named_features

__all__ = ["FeatureFileSource", "PictureSource", "make_sources", "read_text_spec"]

_DOMAINS = "domains:"


def make_sources(
    name: str,
    root: str | Path,
    model: Encoder | None = None,
    *,
    protocol: Protocol = "tip",
    shifts: Sequence[str] = (),
    class_text: str | None = None,
    concept_text: str | None = None,
    classnames: str | Path | None = None,
    **options: Any,
) -> list[TaskSource]:
    """Return the sources that a name stands for; domains give one for each.

    Args:
        name: One of `coop.DATASETS`; a folder of class folders or a table, under `root` or of its
            own; "domains:FOLDER" for a folder of domain folders, each of which in turn is tested on
            while the others are trained on ("pacs" needs no "domains:"); or a `.safetensors` file
            of features.
        root: The folder that data sets are in.
        model: The backbone; not needed for files of features.
        protocol: Whose prompts.
        shifts: For pictures: names of ImageNet's shifted test sets, or folders of class folders.
        class_text: For a file of features: "FILE:NAME", where NAME is a tensor of FILE (or several,
            with commas between). With `classnames` the classes that both name are kept.
        concept_text: The same for concepts.
        classnames: For a file of features: a JSON list of names by label, or a split file of CoOp.
        options: Passed to `PictureSource`, such as `concepts`, `views`, `cache`.

    Raises:
        UserError: there is no such data set, or something of it is missing.
    """
    by_domain = name.startswith(_DOMAINS) or name.lower() == "pacs"
    place = _place(name.removeprefix(_DOMAINS), Path(root))
    if place is not None and place.suffix == ".safetensors":
        stated = [*shifts, *(key for key, value in options.items() if value)]
        if stated:
            raise UserError(
                f"{name} is a file of features, which were made already, so {stated[0]} has no "
                "effect on it; leave that out."
            )
        return [_feature_source(place, class_text, concept_text, classnames)]
    if class_text or concept_text or classnames:
        raise UserError(
            f"{name} has pictures, whose texts a model embeds, so class_text, concept_text and "
            "classnames have no effect on it; leave them out."
        )
    if model is None:
        raise UserError(f"the pictures of {name} need a backbone; give a model.")
    if by_domain:
        if shifts:
            raise UserError(f"{name} has domains of its own; leave out the shifted tests.")
        domains = read_domains(place or Path(root) / name.removeprefix(_DOMAINS))
        return [
            PictureSource(domains.leave_out(domain), model, **options) for domain in domains.domains
        ]
    if name in DATASETS or place is None:
        dataset = read_dataset(name, root, protocol=protocol)
    else:
        place = place.resolve()  # a folder "." has a name, too
        dataset = read_dataset(place.name, place.parent, protocol=protocol)
    tests = [_shift(each, Path(root), dataset) for each in shifts]
    return [PictureSource(dataset, model, shifts=tests, **options)]


def read_text_spec(spec: str) -> NamedFeatures:
    """Return the text features of "FILE:NAME" or "FILE:NAME,NAME".

    Raises:
        UserError: it is of another form, or the file does not have them.
    """
    file, _, names = spec.rpartition(":")
    if not file or not names:
        raise UserError(f"{spec!r} names no text features; write FILE.safetensors:NAME.")
    return read_named_features(file, names.split(","))


def _feature_source(
    file: Path, class_text: str | None, concept_text: str | None, classnames: str | Path | None
) -> FeatureFileSource:
    texts = read_text_spec(class_text) if class_text else None
    names = _classnames(Path(classnames)) if classnames else ()
    classes = None
    if texts is not None and names:
        classes, texts = named_classes(names, texts)
    return FeatureFileSource(
        file,
        class_text=texts,
        concept_text=read_text_spec(concept_text) if concept_text else None,
        classnames=names,
        classes=classes,
    )


def _classnames(file: Path) -> tuple[str, ...]:
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"the class names {file} cannot be read as JSON ({error}).") from None
    if isinstance(content, dict):
        return read_split(file).classnames
    if not isinstance(content, list) or not all(isinstance(one, str) for one in content):
        raise UserError(f"{file} is neither a JSON list of class names nor a split file of CoOp.")
    return tuple(content)


def _shift(name: str, root: Path, dataset: ImageClasses) -> ShiftedTest:
    if name in SHIFTS:
        if dataset.name != "imagenet":
            raise UserError(f"{name} is a test of imagenet's classes, not of {dataset.name}.")
        return read_shift(name, root)
    place = _place(name, root)
    if place is None:
        raise UserError(
            f"there is no shifted test {name!r}: neither a folder, nor one of {', '.join(SHIFTS)}."
        )
    return read_shift_folder(place, dataset)


def _place(name: str, root: Path) -> Path | None:
    places = (root / name, root / name.upper(), Path(name))
    return next((place for place in places if name and place.exists()), None)
