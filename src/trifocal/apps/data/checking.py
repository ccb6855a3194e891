"""`trifocal data check`: what is there of a benchmark's data, what is missing, and how it is to be had."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from trifocal.apps.settings import parse_settings
from trifocal.concepts.datasets.coop import DATASETS, check_dataset, read_dataset
from trifocal.data.getting.origins import find_origin
from trifocal.errors import UserError
from trifocal.evaluate.few_shot.rows import NAME as FEW_SHOT
from trifocal.evaluate.names import DRAWN
from trifocal.evaluate.registry import BENCHMARKS, GROUPS
from trifocal.evaluate.runner import Job, check_effect, make_job

EVERY = "all"


@dataclass(frozen=True)
class Checked:
    """What is there of a benchmark's data.

    Attributes:
        name: The benchmark's.
        missing: What is not there, in words; the first few where that is many.
        size: How much there is, where nothing is missing: "1,000 items".
        partly: Whether that is what the photos that are there suffice for.
        how: How it is to be had, where something is missing.
        error: Why its files cannot be read.
    """

    name: str
    missing: tuple[str, ...] = ()
    size: str = ""
    partly: bool = False
    how: str = ""
    error: str = ""

    @property
    def whole(self) -> bool:
        """Whether all is there that is asked for."""
        return not self.missing and not self.error

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON output holds it."""
        told = {"name": self.name, "complete": self.whole, "missing": list(self.missing)}
        return told | {
            key: each for key in ("size", "how", "error") if (each := getattr(self, key))
        }


def check(
    benchmark: str,
    root: str,
    images: str | None,
    options: Sequence[str] = (),
    *,
    available_only: bool = False,
) -> list[Checked]:
    """Return what is missing of the data of a benchmark, or of each of several.

    Args:
        benchmark: Its name; "composition" or "regions" for those of a focus, "all" for every one;
            or a few-shot data set's, or "few_shot" for all of these.
        root: Folder of its data.
        images: Folder of the photos, where it is not in the root.
        options: Other settings of the benchmark, each as "key=value".
        available_only: Be content with the questions whose photos are there.
    """
    few_shot = few_shot_sets(benchmark)
    if few_shot:
        return [_few_shot(name, root) for name in few_shot]
    settings = parse_settings(options)
    if images:
        settings["images"] = str(Path(images).resolve())
    if available_only:
        settings["available_only"] = True
    if benchmark == EVERY or benchmark in GROUPS:
        names = BENCHMARKS if benchmark == EVERY else GROUPS[benchmark]
        names = _with_data(names, Path(root).expanduser())
        return [_checked(name, root, settings) for name in names]
    job = make_job(benchmark, root, **settings)
    check_effect([job], settings)
    return [_of(benchmark, job)]


def lines(found: Sequence[Checked], benchmark: str) -> Iterator[str]:
    """Yield what is said of them; of several benchmarks, of each a little."""
    if len(found) == 1 and found[0].name == benchmark and not few_shot_sets(benchmark):
        (one,) = found
        yield from (f"missing: {item}" for item in one.missing)
        yield f"{one.name}: {one.how if one.missing else _there(one)}"
        return
    for one in found:
        if one.whole:
            yield f"{one.name}: {_there(one)}"
        elif one.error:
            yield f"{one.name}: cannot be read: {one.error}"
        elif few_shot_sets(one.name):
            yield from (f"{one.name}: missing: {item}" for item in one.missing)
        else:
            yield f"{one.name}: missing: {one.missing[0]}"
            more = f" (and {len(one.missing) - 2} more)" if len(one.missing) > 2 else ""
            yield from (f"    {item}{more}" for item in one.missing[1:2])
        if one.how:
            yield f"    {one.how}"


def _there(one: Checked) -> str:
    if one.partly:
        return f"the photos that are there are enough for {one.size}"
    return f"everything is there ({one.size})"


def _of(name: str, job: Job) -> Checked:
    missing = tuple(str(item) for item in job.benchmark.check(job.root))
    if missing:
        return Checked(name, missing, how=how_to_get(name))
    partly = bool(getattr(job.benchmark, "available_only", False))
    return Checked(name, size=f"{len(job.benchmark.items(job.root))} items", partly=partly)


def _checked(name: str, root: str, settings: dict[str, object]) -> Checked:
    """Return one of several, among which one that cannot be read stops nothing."""
    try:
        return _of(name, make_job(name, root, **settings))
    except UserError as error:
        return Checked(name, error=str(error), how=how_to_get(name))


def few_shot_sets(benchmark: str) -> Sequence[str]:
    """Return the few-shot data sets that a name stands for; none where it is a benchmark's."""
    kind, _, dataset = benchmark.partition(":")
    if benchmark == FEW_SHOT:
        return list(DATASETS)
    return [dataset or benchmark] if kind == FEW_SHOT or benchmark in DATASETS else []


def _few_shot(name: str, root: str) -> Checked:
    missing = tuple(str(item) for item in check_dataset(name, root))
    if missing:
        return Checked(name, missing)
    parts = read_dataset(name, root)
    sizes = f"{len(parts.train)} / {len(parts.val)} / {len(parts.test)}"
    return Checked(name, size=f"{sizes} pictures for training, val, test")


def how_to_get(benchmark: str) -> str:
    """Return in a sentence under which licence a benchmark's data are, and how they are to be had."""
    kind, _, dataset = benchmark.partition(":")
    try:
        origin = find_origin(benchmark if dataset else kind)
    except UserError:
        return f"source: {BENCHMARKS[kind].source}"
    return f"licence: {origin.licence}; {origin.told()}"


def _with_data(names: Iterable[str], root: Path) -> list[str]:
    """Return those benchmarks that read data; of those with many sets, each set that is there."""
    found = []
    for name in names:
        if name in DRAWN:
            continue
        if "dataset" not in {field.name for field in fields(BENCHMARKS[name])}:
            found.append(name)
        elif (root / name).is_dir():
            folders = sorted(one.name for one in (root / name).iterdir() if one.is_dir())
            found += [f"{name}:{one}" for one in folders if not one.startswith(".")]
    return found
