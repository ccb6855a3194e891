"""`trifocal data check`: what is there of a benchmark's data, what is missing, and how it is to be had."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import fields
from pathlib import Path

from trifocal.apps.settings import parse_settings
from trifocal.concepts.datasets.coop import DATASETS, check_dataset, read_dataset
from trifocal.data.getting.origins import find_origin
from trifocal.errors import UserError
from trifocal.evaluate.few_shot.rows import NAME as FEW_SHOT
from trifocal.evaluate.names import DRAWN
from trifocal.evaluate.registry import BENCHMARKS, GROUPS
from trifocal.evaluate.runner import check_effect, make_job

EVERY = "all"


def check(benchmark: str, root: str, images: str | None, options: Sequence[str] = ()) -> int:
    """Print what is missing for a benchmark; return 0 where nothing is, else 1.

    Args:
        benchmark: Its name; "composition" or "regions" for those of a focus, "all" for every one;
            or a few-shot data set's, or "few_shot" for all of these.
        root: Folder of its data.
        images: Folder of the photos, where it is not in the root.
        options: Other settings of the benchmark, each as "key=value".
    """
    few_shot = few_shot_sets(benchmark)
    if few_shot:
        return check_few_shot(few_shot, root)
    settings = parse_settings(options)
    if images:
        settings["images"] = str(Path(images).resolve())
    if benchmark == EVERY or benchmark in GROUPS:
        names = BENCHMARKS if benchmark == EVERY else GROUPS[benchmark]
        return _check_several(names, root, settings)
    job = make_job(benchmark, root, **settings)
    check_effect([job], settings)
    missing = job.benchmark.check(job.root)
    for item in missing:
        print(f"missing: {item}")
    if missing:
        print(f"{benchmark}: {how_to_get(benchmark)}")
    else:
        print(f"{benchmark}: everything is there ({len(job.benchmark.items(job.root))} items)")
    return 1 if missing else 0


def few_shot_sets(benchmark: str) -> Sequence[str]:
    """Return the few-shot data sets that a name stands for; none where it is a benchmark's."""
    kind, _, dataset = benchmark.partition(":")
    if benchmark == FEW_SHOT:
        return list(DATASETS)
    return [dataset or benchmark] if kind == FEW_SHOT or benchmark in DATASETS else []


def check_few_shot(datasets: Iterable[str], root: str) -> int:
    """Print what is missing of few-shot data sets; return 0 where nothing is, else 1."""
    lacking = 0
    for name in datasets:
        missing = check_dataset(name, root)
        for item in missing:
            print(f"{name}: missing: {item}")
        if not missing:
            parts = read_dataset(name, root)
            sizes = f"{len(parts.train)} / {len(parts.val)} / {len(parts.test)}"
            print(f"{name}: everything is there ({sizes} pictures for training, val, test)")
        lacking += bool(missing)
    return 1 if lacking else 0


def how_to_get(benchmark: str) -> str:
    """Return in a sentence under which licence a benchmark's data are, and how they are to be had."""
    kind, _, dataset = benchmark.partition(":")
    try:
        origin = find_origin(benchmark if dataset else kind)
    except UserError:
        return f"source: {BENCHMARKS[kind].source}"
    return f"licence: {origin.licence}; {origin.told()}"


def _check_several(names: Collection[str], root: str, settings: dict[str, object]) -> int:
    """Print a line or two for each benchmark; return 0 where nothing is missing of any, else 1."""
    lacking = 0
    for name in _with_data(names, Path(root).expanduser()):
        try:
            job = make_job(name, root, **settings)
            missing = job.benchmark.check(job.root)
            if not missing:
                print(f"{name}: everything is there ({len(job.benchmark.items(job.root))} items)")
                continue
            print(f"{name}: missing: {missing[0]}")
            for item in missing[1:2]:
                more = f" (and {len(missing) - 2} more)" if len(missing) > 2 else ""
                print(f"    {item}{more}")
        except UserError as error:
            print(f"{name}: cannot be read: {error}")
        print(f"    {how_to_get(name)}")
        lacking += 1
    return 1 if lacking else 0


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
