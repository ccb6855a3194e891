"""`trifocal eval few-shot`: few-shot methods over shots, seeds and data sets."""

from __future__ import annotations

import argparse
import json
import logging
import shlex
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console

from trifocal.apps.few_shot.sources import open_sources
from trifocal.apps.said import remark
from trifocal.apps.settings import parse_settings
from trifocal.apps.stated import tell_idle
from trifocal.bars import ProgressBars
from trifocal.concepts.head_registry import HEADS
from trifocal.errors import Stopped, UserError
from trifocal.evaluate.few_shot.methods import few_shot_methods
from trifocal.evaluate.few_shot.pairs import Answers
from trifocal.evaluate.few_shot.rows import FIT, TEST, told_apart
from trifocal.evaluate.few_shot.run import run_few_shot
from trifocal.evaluate.few_shot.summary import Summary, reference_of
from trifocal.evaluate.records import check_results, read_results
from trifocal.metrics.result import Result
from trifocal.report.concept_curves import concept_tables
from trifocal.report.few_shot import few_shot_report
from trifocal.report.few_shot_tables import few_shot_tables
from trifocal.report.page import check_report, write_report
from trifocal.report.terminal import terminal_table


def run(arguments: argparse.Namespace) -> int:
    """Run the protocol, print the tables, and write what was asked for.

    Raises:
        UserError: A method, a data set or its files cannot be had.
        Stopped: It was interrupted; what was done is in the results file.
    """
    if arguments.out is not None:
        check_results(arguments.out)
    if arguments.report is not None:
        check_report(arguments.report)
    names = list(HEADS) if arguments.methods == "all" else listed(arguments.methods)
    methods = few_shot_methods(names, HEADS, head_options(arguments.option))
    shots, seeds = numbers(arguments.shots, "--shots", 1), numbers(arguments.seeds, "--seeds", 0)
    heads = [method.head() for method in methods]
    taught = any(head.wants_support for head in heads)
    tell_idle(arguments, "shots seeds", not taught, "the methods learn from no pictures")
    searching = any(head.searches for head in heads)
    tell_idle(
        arguments, "val", not searching and arguments.val != "none", "the methods select nothing"
    )
    compared = [row for file in arguments.compare for row in read_results(file)]
    if arguments.baseline:  # before hours of fits, and without what rows add to a method's name
        bare = arguments.baseline.partition("(")[0].strip()
        reference_of([*names, *dict.fromkeys(row.model for row in compared)], bare)
    with TemporaryDirectory() as folder:
        results = Path(arguments.out or Path(folder) / "results.jsonl")
        with ProgressBars(quiet=arguments.quiet) as bars, _few_words(arguments.debug):
            sources = open_sources(
                arguments,
                listed(arguments.datasets),
                most_shots=shots[-1],
                concepts=any(head.wants_concepts for head in heads),
                progress=ProgressBars(within=bars),
            )
            try:
                rows = run_few_shot(
                    sources,
                    methods,
                    shots,
                    seeds,
                    arguments.val,
                    results=results,
                    progress=bars,
                )
            except KeyboardInterrupt:
                if arguments.out is None:
                    raise
                raise Stopped(signal.SIGINT, _fits(results), arguments.out) from None
        _show([*compared, *rows], arguments, [*arguments.compare, results])
    return 0


@contextmanager
def _few_words(debug: bool) -> Iterator[None]:
    """Leave out what each of hundreds of fits tells of itself, unless all messages are wanted."""
    logger = logging.getLogger("trifocal.concepts")
    before = logger.level
    if not debug:
        logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(before)


def _show(
    rows: Iterable[Result], arguments: argparse.Namespace, files: Sequence[str | Path]
) -> None:
    """Print the tables and write the report; what was right is read from beside the files."""
    rows = list(rows)
    measured = told_apart(rows)
    summary, answers = Summary(measured), Answers(measured, files)
    reference = reference_of(summary.methods, arguments.baseline)
    console = Console()
    if arguments.json:
        print(json.dumps([row.as_dict() for row in rows]))
    tables = few_shot_tables(summary, answers, reference)
    tables += concept_tables(summary, summary.having(TEST))
    for table in () if arguments.json else tables:
        console.print(terminal_table(table))
        console.print()
    if arguments.report:
        typed = f"trifocal {shlex.join(sys.argv[1:])}"
        write_report(arguments.report, few_shot_report(summary, answers, reference, [typed]))
        remark(arguments, f"The report is in {arguments.report}")


def _fits(results: Path) -> int:
    """Return how many fits a results file holds."""
    if not results.is_file():
        return 0
    return sum(row.metric == FIT for row in read_results(results))


def listed(text: str) -> list[str]:
    """Return the names in "a,b,c"."""
    return [name for name in (part.strip() for part in text.split(",")) if name]


def numbers(text: str, option: str, least: int) -> tuple[int, ...]:
    """Return the numbers in "1,2,4", in increasing order.

    Raises:
        UserError: They are not whole numbers from `least` on.
    """
    try:
        found = sorted({int(part) for part in listed(text)})
    except ValueError:
        found = []
    if not found or found[0] < least:
        raise UserError(
            f"{option} takes whole numbers from {least} on, with commas (1,2,4), not {text!r}"
        )
    return tuple(found)


def head_options(texts: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return parameters of methods, by method, from texts such as "tip-adapter.alpha=2".

    Raises:
        UserError: A text is not of this form.
    """
    options: dict[str, dict[str, Any]] = {}
    for text in texts:
        place, equals, value = text.partition("=")
        method, dot, key = place.rpartition(".")
        if not equals or not dot or not method or not key.isidentifier():
            raise UserError(
                f"{text!r} is no parameter of a method; write METHOD.KEY=VALUE, "
                "e.g. tip-adapter.alpha=2"
            )
        options.setdefault(method, {}).update(parse_settings([f"{key}={value}"]))
    return options
