"""Runs benchmarks over a model: all data are read first, and each result is kept at once."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from trifocal.clip.encoder import Encoder
from trifocal.errors import UserError, nearest
from trifocal.evaluate.marks import keep_marks
from trifocal.evaluate.records import add_results, check_results
from trifocal.evaluate.registry import BENCHMARKS, GROUPS
from trifocal.features.shared import Elsewhere
from trifocal.features.sharing import sharing
from trifocal.metrics.benchmark import Benchmark
from trifocal.metrics.result import Result, model_name
from trifocal.processes import is_first
from trifocal.progress import Progress, Quiet

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """One benchmark and the folder of its data."""

    benchmark: Benchmark
    root: Path


@dataclass(frozen=True)
class Plan:
    """What is to be run, and what of the groups that were asked for cannot be."""

    jobs: list[Job]
    absent: dict[str, str]  # for each benchmark of a group that lacks its data, what it lacks

    def tell(self) -> None:
        """Say in a line each what is not run."""
        for name, lacking in self.absent.items():
            logger.warning("not run: %s (%s)", name, lacking)


def make_plan(
    names: Sequence[str], root: str | os.PathLike[str] | None = None, **options: Any
) -> Plan:
    """Return the jobs of benchmarks and of groups of them.

    Args:
        names: Benchmarks (see `make_job`) and groups. A benchmark that is named must have its data,
            which `evaluate` asks for; of a group those are run that have theirs.
        root: See `make_job`.
        **options: See `make_job`.

    Raises:
        UserError: A name is unknown, no benchmark has a setting, or none of the groups can run.
    """
    jobs: dict[str, Job] = {}
    absent: dict[str, str] = {}
    for name in names:
        if name not in GROUPS:
            jobs[name] = make_job(name, root, **options)
            continue
        for member in members(name, root):
            job = make_job(member, root, **options)
            missing = job.benchmark.check(job.root)
            if missing:
                absent[member] = str(missing[0])
            else:
                jobs.setdefault(member, job)
    if absent and not jobs:
        first, lacking = next(iter(absent.items()))
        raise UserError(
            f"no benchmark of {', '.join(names)} has its data; {first}: {lacking}. "
            "trifocal data check says what each needs."
        )
    return Plan(list(jobs.values()), absent)


def members(group: str, root: str | os.PathLike[str] | None = None) -> list[str]:
    """Return the names of a group's benchmarks, as `make_job` takes them.

    Benchmarks of which there are many sets (zero_shot, retrieval) stand for each folder below
    theirs in the root.
    """
    found = []
    for name in GROUPS[group]:
        if "dataset" not in {field.name for field in fields(BENCHMARKS[name])}:
            found.append(name)
            continue
        folder = Path(root or "").expanduser() / name
        sets = (
            sorted(one.name for one in folder.iterdir() if one.is_dir()) if folder.is_dir() else []
        )
        found += [f"{name}:{one}" for one in sets if not one.startswith(".")]
    return found


def make_job(name: str, root: str | os.PathLike[str] | None = None, **options: Any) -> Job:
    """Return a job from a benchmark's name, as it is given on the command line.

    Args:
        name: A name in `BENCHMARKS`; "zero_shot:eurosat" also names the data set.
        root: Folder of the data. Where it holds a folder of the data set's (or, without one, the
            benchmark's) name, that is used, so that several benchmarks can share one root.
        **options: Settings, used where the benchmark has them (several benchmarks on one command
            line share them); None means the default.

    Raises:
        UserError: The benchmark does not exist, or no benchmark has such a setting.
    """
    kind, _, dataset = name.partition(":")
    if kind not in BENCHMARKS:
        known = ", ".join(BENCHMARKS)
        raise UserError(f"no benchmark {kind!r}.{nearest(kind, BENCHMARKS)} There are: {known}")
    settings = {key: {field.name for field in fields(BENCHMARKS[key])} for key in BENCHMARKS}
    for key in options:
        if not any(key in names for names in settings.values()):
            known = settings[kind]
            raise UserError(
                f"no benchmark has a setting {key!r}.{nearest(key, known)} "
                f"{kind} has: {', '.join(sorted(known))}"
            )
    given = {k: v for k, v in options.items() if v is not None and k in settings[kind]}
    if dataset and "dataset" not in settings[kind]:
        raise UserError(f"{kind} has no data sets to choose from; write {kind!r} alone")
    if dataset:
        given.setdefault("dataset", dataset)
    folder = Path(root).expanduser() if root is not None else Path()
    places = [folder / kind / dataset, folder / dataset] if dataset else [folder / kind]
    inner = next((place for place in places if place.is_dir()), folder)
    return Job(BENCHMARKS[kind](**given), inner)


def check_effect(jobs: Sequence[Job], options: Iterable[str]) -> None:
    """Say which of the benchmarks on one command line do not read a setting that was stated.

    Raises:
        UserError: None of them reads it.
    """
    for key in options:
        without = [
            job.benchmark.name
            for job in jobs
            if key not in {field.name for field in fields(job.benchmark)}  # pyright: ignore[reportArgumentType]
        ]
        if without and len(without) == len(jobs):
            raise UserError(
                f"{key} has no effect on {', '.join(without)}, which has no such setting; leave "
                "it out."
            )
        if without:
            logger.warning("%s is not read by %s", key, ", ".join(without))


def evaluate(
    model: Encoder,
    jobs: Iterable[Job],
    *,
    name: str | None = None,
    results: str | os.PathLike[str] | None = None,
    cache: Path | None = None,
    elsewhere: Elsewhere | None = None,
    progress: Progress | None = None,
) -> list[Result]:
    """Score a model on benchmarks.

    Each picture and each text is embedded once, whatever the number of benchmarks that ask for it. A
    run that was stopped goes on: what it embedded is in the cache.

    Args:
        model: A Clip, or any object that embeds as one does.
        jobs: What to run. All data are read, and what is missing found, before the first score.
        name: Name of the model in the rows, by default its own.
        results: JSON-lines file to which the rows are added as each benchmark ends, but for those
            that it holds already. What each question adds to a row is kept in a folder beside it.
        cache: Where embeddings are kept for the next run (`default_cache()`); None to keep none.
        elsewhere: Embeds picture files instead of this process, such as `features.on_ray.OnRay`.
        progress: Told how far it is.

    Raises:
        UserError: Data of a benchmark are missing, or `results` is another kind of file.
    """
    if results is not None:
        check_results(results)
    read = [(job.benchmark, job.benchmark.items(job.root)) for job in jobs]
    rows: list[Result] = []
    with sharing(model, cache=cache, elsewhere=elsewhere):
        for number, (benchmark, items) in enumerate(read, start=1):
            told = (name or model_name(model), benchmark.name, number, len(read))
            logger.info("%s: scoring %s (%d of %d)", *told)
            found = benchmark.score(model, items, progress=progress or Quiet())
            if name is not None:
                found = [row.of(name) for row in found]
            if results is not None and is_first():
                add_results(results, found)
                keep_marks(results, found)
            rows += found
    return rows
