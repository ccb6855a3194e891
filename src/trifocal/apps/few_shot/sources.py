"""The data sets of `trifocal eval few-shot`, opened: by name, as folders, as files, or drawn."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from trifocal.apps.loaded import load_stated
from trifocal.apps.stated import refuse_idle, tell_idle
from trifocal.clip import Clip
from trifocal.concepts.datasets.coop import read_dataset
from trifocal.concepts.datasets.imagenet_shifts import SHIFTS
from trifocal.concepts.tasks.picture_source import PictureSource, read_shift_folder
from trifocal.concepts.tasks.sources import make_sources
from trifocal.concepts.tasks.task import TaskSource
from trifocal.concepts.vocabulary import load_vocabulary
from trifocal.devices import usable_device
from trifocal.errors import UserError
from trifocal.features.store import default_cache
from trifocal.files import atomic_folder
from trifocal.progress import Progress
from trifocal.version import __version__
from trifocal.world.domains import DOMAINS
from trifocal.world.few_shot_files import SHIFTED, write_few_shot
from trifocal.world.few_shot_source import PICTURE_SCALE

WORLD = "world"
_PER_CLASS = 40  # training pictures drawn of each class of the world; half as many to test on


def open_sources(
    arguments: argparse.Namespace,
    datasets: Sequence[str],
    *,
    most_shots: int,
    concepts: bool,
    progress: Progress,
) -> list[TaskSource]:
    """Return the sources of the data sets that were typed.

    Args:
        arguments: What was typed.
        datasets: Names, folders and files.
        most_shots: The largest number of shots.
        concepts: Whether a method needs text concepts.
        progress: Told of what is embedded.

    Raises:
        UserError: there is no such data set, or something of it is missing.
    """
    cache = Path(arguments.cache) if arguments.cache else default_cache()
    shifts = shifts_of(arguments.domains, datasets)
    pictures = [name for name in datasets if not name.endswith(".safetensors")]
    if len(pictures) < len(datasets) and arguments.base_to_new:
        raise UserError("base-to-new starts from pictures; leave out the files of features.")
    check_effect(arguments, pictures, len(datasets) - len(pictures), concepts=concepts)
    model = _backbone(arguments) if pictures else None
    options: dict[str, Any] = {
        "concepts": load_vocabulary(arguments.vocabulary) if concepts and pictures else None,
        "base_to_new": arguments.base_to_new,
        "views": arguments.views,
        "val_from": arguments.val_from,
        "on_bad": "skip" if arguments.skip_bad else "raise",
        "cache": cache,
        "progress": progress,
    }
    sources: list[TaskSource] = []
    for name in datasets:
        if name == WORLD:
            assert model is not None
            sources.append(world_source(model, cache, most_shots, shifts[name], options))
            continue
        texts = {"class_text": arguments.class_text, "concept_text": arguments.concept_text}
        texts["classnames"] = arguments.class_names
        own = options if name in pictures else texts
        sources += make_sources(name, arguments.root or ".", model, shifts=shifts[name], **own)
    return sources


def check_effect(
    arguments: argparse.Namespace, pictures: Sequence[str], files: int, *, concepts: bool
) -> None:
    """Refuse options that none of the data sets reads; say which some of them do not.

    Args:
        arguments: What was typed.
        pictures: Data sets of pictures.
        files: How many files of features there are beside them.
        concepts: Whether a method needs text concepts.

    Raises:
        UserError: one was typed that counts for nothing.
    """
    of_pictures = "views vocabulary val_from skip_bad cache activation tokenizer"
    of_files = "class_text concept_text class_names"
    refuse_idle(
        arguments, f"model {of_pictures}", not pictures,
        "the data sets are files of features, which were made already",
    )  # fmt: skip
    # It may stand before any command, as a habit.
    tell_idle(arguments, "device", not pictures, "heads are fitted to ready features on the CPU")
    refuse_idle(
        arguments, of_files, not files, "the data sets are pictures, whose texts a model embeds"
    )
    refuse_idle(arguments, "vocabulary", not concepts, "no method has text concepts")
    tell_idle(arguments, "concept_text", not concepts, "no method has text concepts")
    if arguments.val != "few":
        why = f"--val {arguments.val} draws no few of them"
        refuse_idle(arguments, "val_from", True, why)
    drawn = all(name == WORLD for name in pictures) and not files
    refuse_idle(arguments, "root", drawn, "the world is drawn")
    if pictures and files:
        tell_idle(arguments, of_pictures, True, "files of features were made already, for those")
        tell_idle(
            arguments, of_files, True, "a model embeds their texts, for data sets of pictures"
        )
    tell_idle(
        arguments, "seeds", files > 0,
        "a file of features has one draw for each number of shots, on those",
    )  # fmt: skip


def shifts_of(wished: str | None, datasets: Sequence[str]) -> dict[str, list[str]]:
    """Return the shifted domains to test each data set on.

    Args:
        wished: Names or folders, with commas, or "all" for those that are known by name.
        datasets: The data sets.

    Raises:
        UserError: a domain is of none of the data sets.
    """
    known: Mapping[str, Sequence[str]] = {"imagenet": list(SHIFTS), WORLD: list(DOMAINS)}
    if not wished:
        return {name: [] for name in datasets}
    if wished == "all":
        return {name: list(known.get(name, ())) for name in datasets}
    owner = {domain: name for name, domains in known.items() for domain in domains}
    found: dict[str, list[str]] = {name: [] for name in datasets}
    for domain in (part.strip() for part in wished.split(",")):
        own = owner.get(domain)
        if own is not None and own not in found:
            raise UserError(f"{domain} is a domain of {own}, which is not among --datasets.")
        for name in [own] if own else datasets:
            found[name].append(domain)
    return found


def world_source(
    model: Clip, cache: Path, most_shots: int, shifts: Sequence[str], options: Mapping[str, Any]
) -> PictureSource:
    """Return the few-shot classes of the drawn world; they are drawn once and kept.

    Args:
        model: The backbone; pictures are drawn for its size.
        cache: Folder to keep them in.
        most_shots: The largest number of shots.
        shifts: Domains to test on too.
        options: Passed to `PictureSource`.
    """
    size = (PICTURE_SCALE * model.image_size[0], PICTURE_SCALE * model.image_size[1])
    count = max(_PER_CLASS, most_shots)
    folder = cache.parent / WORLD / f"few-shot-{count}-{size[0]}x{size[1]}-{__version__}"
    if not folder.is_dir():
        with atomic_folder(folder) as aside:
            write_few_shot(aside, count, 0, size, "png", lambda picture, path: picture.save(path))
    dataset = replace(read_dataset("few_shot", folder), name=WORLD)
    tests = [read_shift_folder(folder / SHIFTED / domain, dataset) for domain in shifts]
    return PictureSource(dataset, model, shifts=tests, **options)


def _backbone(arguments: argparse.Namespace) -> Clip:
    with usable_device(arguments.device) as device:
        return load_stated(arguments.model, arguments, device)
