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
from trifocal.evaluate.records import add_results, check_results
from trifocal.evaluate.registry import BENCHMARKS
from trifocal.metrics.benchmark import Benchmark
from trifocal.metrics.result import Result
from trifocal.progress import Progress, Quiet

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """One benchmark and the folder of its data."""

    benchmark: Benchmark
    root: Path


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
    inner = folder / (dataset or kind)
    return Job(BENCHMARKS[kind](**given), inner if inner.is_dir() else folder)


def check_effect(names: Sequence[str], options: Iterable[str]) -> None:
    """Say which of the benchmarks on one command line do not read a setting that was stated.

    Args:
        names: What `make_job` took.
        options: Names of settings.

    Raises:
        UserError: None of them reads it.
    """
    for key in options:
        without = [
            name
            for name in names
            if key not in {field.name for field in fields(BENCHMARKS[name.partition(":")[0]])}
        ]
        if without and len(without) == len(names):
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
    progress: Progress | None = None,
) -> list[Result]:
    """Score a model on benchmarks.

    Args:
        model: A Clip, or any object that embeds as one does.
        jobs: What to run. All data are read, and what is missing found, before the first score.
        name: Name of the model in the rows, by default its own.
        results: JSON-lines file to which the rows are added as each benchmark ends, but for those
            that it holds already.
        progress: Told how far it is.

    Raises:
        UserError: Data of a benchmark are missing, or `results` is another kind of file.
    """
    if results is not None:
        check_results(results)
    read = [(job.benchmark, job.benchmark.items(job.root)) for job in jobs]
    rows: list[Result] = []
    for benchmark, items in read:
        logger.info("scoring %s", benchmark.name)
        found = benchmark.score(model, items, progress=progress or Quiet())
        if name is not None:
            found = [row.of(name) for row in found]
        if results is not None:
            add_results(results, found)
        rows += found
    return rows
