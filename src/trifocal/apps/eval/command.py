"""`trifocal eval`: models on benchmarks, side by side, with what they gained and what it cost."""

from __future__ import annotations

import argparse
import json
import logging
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from trifocal.apps.eval.costs import costs_to_add
from trifocal.apps.loaded import load_stated
from trifocal.apps.processes import first_of_all, join_processes, process_count
from trifocal.apps.said import remark
from trifocal.apps.settings import parse_settings
from trifocal.apps.stated import refuse_idle
from trifocal.bars import ProgressBars
from trifocal.clip import Clip
from trifocal.config import read_yaml
from trifocal.devices import pick_device
from trifocal.errors import UserError
from trifocal.evaluate.curve import CurvePoint, parse_alphas, wise_ft_curve
from trifocal.evaluate.names import DRAWN, WORLD
from trifocal.evaluate.records import (
    check_records,
    check_results,
    export_clip_benchmark,
    read_results,
)
from trifocal.evaluate.runner import Job, check_effect, evaluate, make_plan
from trifocal.features.shared import Elsewhere
from trifocal.features.store import default_cache
from trifocal.metrics.result import Result
from trifocal.progress import Progress
from trifocal.report.comparison import comparison_table
from trifocal.report.exported import check_export, write_export
from trifocal.report.labels import full_names, labels, relabeled
from trifocal.report.table import Table
from trifocal.report.terminal import terminal_table
from trifocal.tuning import interpolate

if TYPE_CHECKING:
    from trifocal.report.page import Block, Browser

logger = logging.getLogger(__name__)

_WORKERS = 2  # of a cluster
_PAGE = 1 << 20  # letters in a line of a page, which scrolls
_DRAWINGS = (
    "The built-in base is tiny and was trained on drawings alone, so its scores on photos, and what "
    "they become, mean little; start from a real CLIP for numbers that do."
)


def run(arguments: argparse.Namespace) -> int:
    """Score, print the table, and write what was asked for.

    Raises:
        UserError: A model, a benchmark or its data cannot be had.
    """
    _check_targets(arguments)
    _check_ray(arguments)
    compared = [row for file in arguments.compare for row in read_results(file)]
    published = _published(arguments.beside)
    settings = parse_settings(arguments.option)
    if arguments.images:
        settings["images"] = str(Path(arguments.images).resolve())
    if arguments.captions:
        settings["captions"] = str(Path(arguments.captions).resolve())
    if arguments.available_only:
        settings["available_only"] = True
    if arguments.limit is not None:
        settings["limit"] = arguments.limit
    drawn = all(name.partition(":")[0] in DRAWN for name in arguments.benchmarks)
    refuse_idle(arguments, "root", drawn, "the world is drawn")
    priced = costs_to_add(arguments, settings)
    plan = make_plan([*arguments.benchmarks, *priced], arguments.root, **settings)
    jobs = plan.jobs
    check_effect(jobs, settings)
    device = join_processes(pick_device(arguments.device))
    if first_of_all():
        plan.tell()
        if priced:
            logger.info(
                "scored too, as what the gain may cost: %s (--no-costs: not)", ", ".join(priced)
            )
    cache = Path(arguments.cache).expanduser() if arguments.cache else default_cache()
    rows: list[Result] = []
    curves: dict[str, list[CurvePoint]] = {}
    pictured: dict[str, Clip] = {}  # the first, what it started from, and the last: for the report
    names = _names(arguments)
    with ProgressBars(quiet=arguments.quiet) as bars:
        for name in names:
            model = load_stated(name, arguments, device)
            if arguments.interpolate:
                start = arguments.base or _base_of(name)
                base = load_stated(start, arguments, device)
                if name == names[0]:
                    pictured[start] = base
                curve = wise_ft_curve(
                    lambda alpha, base=base, model=model: interpolate(base, model, alpha),
                    lambda mixed: evaluate(mixed, jobs, results=arguments.out, progress=bars),
                    parse_alphas(arguments.interpolate),
                )
                curves[name] = curve
                rows += [row for point in curve for row in point.rows]
            else:
                told = {"results": arguments.out, "cache": cache, "progress": bars}
                with _elsewhere(name, arguments, device, bars) as elsewhere:
                    rows += evaluate(model, jobs, name=name, elsewhere=elsewhere, **told)
            if name in (names[0], names[-1]):
                pictured[name] = model
    if not first_of_all():
        return 0
    shown = labels((row.model for row in (*compared, *rows)), arguments.base)
    told = relabeled([*compared, *rows], shown)
    table = comparison_table(told)
    if arguments.json:
        print(json.dumps([row.as_dict() for row in (*compared, *rows)]))
    else:
        Console().print(terminal_table(table))
    beside = _print_beside(told, published, quiet=arguments.json) if published else []
    if arguments.table:
        write_export(arguments.table, [table, *beside], [*compared, *rows], published)
    if arguments.clip_benchmark:
        export_clip_benchmark(arguments.clip_benchmark, rows)
    if arguments.report:
        further: list[Block] = [*beside, *_browsers(arguments.compare, jobs, rows, shown)]
        _write_report(arguments, jobs, [*compared, *rows], curves, pictured, further, shown)
    return 0


def _published(names: Sequence[str]) -> dict[str, dict[tuple[str, str, str], float]]:
    """Return what is known of the published models that were asked for."""
    if not names:
        return {}
    from trifocal.evaluate.published.tables import chosen_models

    return chosen_models(names)


def _print_beside(
    rows: Sequence[Result],
    published: dict[str, dict[tuple[str, str, str], float]],
    quiet: bool,
) -> list[Table]:
    """Print the tables beside published models; return the one of all columns, if there are any."""
    from trifocal.report.beside import beside_tables, notes

    tables, told = beside_tables(rows, published), notes(rows)
    for table in () if quiet else tables:
        Console().print(terminal_table(table))
    if not tables and not quiet:
        print("No published number is known of what was measured.")
    for line in () if quiet else told:
        print(line)
    whole = beside_tables(rows, published, width=_PAGE)
    return [replace(table, caption=" ".join(told)) for table in whole]


def _browsers(
    files: Sequence[str], jobs: Sequence[Job], rows: Sequence[Result], shown: Mapping[str, str]
) -> list[Browser]:
    """Return what the first and the last model disagree about; of files, the first is the first."""
    from trifocal.composition.benchmarks.suite import Suite
    from trifocal.evaluate.disagreements import Answered, disagreements
    from trifocal.report.disagreements import browsers

    def of(model: str, among: Sequence[Result]) -> list[Result]:
        return [row for row in among if row.model == model]

    last = rows[-1].model
    ours = read_results(files[0]) if files else []
    first = ours[0].model if ours else rows[0].model
    if first == last:
        return []
    before = Answered.in_file(files[0], of(first, ours)) if ours else Answered(of(first, rows))
    found = []
    for job in jobs:
        if isinstance(job.benchmark, Suite):
            after = Answered(of(last, rows))
            found += disagreements(job.benchmark, job.root, before, after) or []
    return browsers(found, (shown[first], shown[last]))


def _check_targets(arguments: argparse.Namespace) -> None:
    """Refuse, before anything is computed, what must not or cannot be written."""
    if arguments.out is not None:
        check_results(arguments.out)
    if arguments.table is not None:
        check_export(arguments.table)
    if arguments.clip_benchmark is not None:
        check_records(arguments.clip_benchmark)
    if arguments.report is not None:
        from trifocal.report.page import check_report

        check_report(arguments.report)


def _write_report(
    arguments: argparse.Namespace,
    jobs: Sequence[Job],
    rows: Sequence[Result],
    curves: dict[str, list[CurvePoint]],
    models: dict[str, Clip],
    further: Sequence[Block],
    shown: Mapping[str, str],
) -> None:
    """Write the report; the first of the models is what the others are compared with."""
    from trifocal.report.composition import results_report
    from trifocal.report.page import write_report
    from trifocal.report.shown import shown_of

    base = next(iter(models))
    scored = {*curves, *(row.model for row in rows)}
    size = models[base].image_size
    called = {**labels({*curves, *models}, arguments.base), **shown}
    report = results_report(
        relabeled(rows, called),
        {
            called[name]: [replace(one, rows=tuple(relabeled(one.rows, called))) for one in curve]
            for name, curve in curves.items()
        },
        base=called[base],
        models={called[name]: model for name, model in models.items()},
        logs={
            called[name]: log for name in scored if (log := Path(name) / "metrics.jsonl").is_file()
        },
        shown=[one for job in jobs for one in shown_of(job.benchmark, job.root, size)],
        remark=_DRAWINGS if base == "builtin" and _on_photos(jobs) else "",
        further=further,
        names=full_names({name: called[name] for name in called if name in scored or name == base}),
        costs_command=_costs_command(arguments),
    )
    write_report(arguments.report, report)
    remark(arguments, f"The report is in {arguments.report}")


def _costs_command(arguments: argparse.Namespace) -> str:
    """Return the command that scores what a gain costs, and sets it beside the rows of this one."""
    words = ["trifocal", "eval", arguments.model, *arguments.benchmarks, "retrieval"]
    words += ["--captions", "CAPTIONS"]
    for option in ("root", "images", "base", "out", "report"):
        value = getattr(arguments, option)
        words += [f"--{option}", value] if value else []
    words += ["--available-only"] if arguments.available_only else []
    return shlex.join(words)


def _on_photos(jobs: Sequence[Job]) -> bool:
    return any(job.benchmark.name != WORLD for job in jobs)


def _names(arguments: argparse.Namespace) -> list[str]:
    """Return the models to score; a path that is there is one model, whatever commas it has."""
    whole = Path(arguments.model).exists()
    names = [arguments.model] if whole else [name for name in arguments.model.split(",") if name]
    if arguments.base and not arguments.interpolate and arguments.base not in names:
        names.insert(0, arguments.base)  # what was gained and lost is seen against the base
    return names


def _check_ray(arguments: argparse.Namespace) -> None:
    """Refuse what workers that load models by their names cannot do."""
    refuse_idle(arguments, "workers", not arguments.ray, "they are those of --ray")
    if not arguments.ray:
        return
    if arguments.interpolate:
        raise UserError("--ray loads models by their names; leave out --interpolate.")
    if process_count() > 1:
        raise UserError("--ray shares the work itself; start the command without torchrun.")
    if arguments.workers is not None and arguments.workers < 1:
        raise UserError("--workers must be at least 1.")


@contextmanager
def _elsewhere(
    name: str, arguments: argparse.Namespace, device: str, progress: Progress
) -> Iterator[Elsewhere | None]:
    """Give what embeds a model's pictures in the workers of a cluster, if that is wanted."""
    if not arguments.ray:
        yield None
        return
    from trifocal.features.on_ray import OnRay

    load = partial(load_stated, name, arguments, device)
    workers = OnRay(load, arguments.workers or _WORKERS, int(device.startswith("cuda")), progress)
    with closing(workers):
        yield workers


def _base_of(name: str) -> str:
    """Return the model a run started from, as its recipe says."""
    recipe = Path(name) / "recipe.yaml"
    if not recipe.is_file():
        raise UserError(
            f"{name} is not a run folder, so the model it was tuned from is unknown; give --base."
        )
    model = read_yaml(recipe).get("model")
    if not isinstance(model, dict) or not isinstance(model.get("name"), str):
        raise UserError(f"{recipe} does not say what the run started from; give --base.")
    return model["name"]
