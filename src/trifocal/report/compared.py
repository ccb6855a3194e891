"""The page of two models compared question by question."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from trifocal.composition.registry import BENCHMARKS
from trifocal.errors import UserError
from trifocal.evaluate.disagreements import Answered, disagreements
from trifocal.evaluate.runner import make_job
from trifocal.metrics.result import Result
from trifocal.report.bars import bars_blocks
from trifocal.report.disagreements import browsers
from trifocal.report.page import Block, Chapter, Facts, Note, Report
from trifocal.report.table import Table


def compared_report(
    table: Table,
    before: Answered,
    after: Answered,
    root: str | os.PathLike[str] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Report:
    """Return a page of the differences, the parts of benchmarks, and questions to look at.

    Args:
        table: The differences (see `paired_table`).
        before, after: The rows of the two models that were compared, and their answers.
        root: Folder of the benchmarks' data; without it no questions are shown.
        settings: Options that the questions were asked with.
    """
    first, second = before.rows[0].model, after.rows[0].model
    if first == second:  # two runs of one name
        second = f"{second} (after)"
    rows = [*before.rows, *(row.of(second) for row in after.rows)]
    blocks: list[Block] = [replace(table, title="Question by question")]
    blocks += bars_blocks(rows, [first, second])
    if root is None:
        blocks.append(Note("Give --root, the folder of the data, to see questions here."))
    else:
        blocks += _questions(before, after, root, settings or {}, (first, second))
    lead = f"{second} against {first}, on the questions that both answered."
    protocols = dict.fromkeys((row.benchmark, f"{row.protocol} ({row.version})") for row in rows)
    return Report(
        "Two models compared",
        f"{len(before.rows)} measures of {first} and {second}.",
        [Chapter("Comparison", lead, blocks)],
        [Facts("How it was measured", list(protocols))],
    )


def _questions(
    before: Answered,
    after: Answered,
    root: str | os.PathLike[str],
    settings: Mapping[str, Any],
    models: tuple[str, str],
) -> list[Block]:
    blocks: list[Block] = []
    for name in dict.fromkeys(row.benchmark for row in before.rows if row.benchmark in BENCHMARKS):
        try:
            job = make_job(name, root, **{**settings, "available_only": True})
            ours, theirs = _of(before, name), _of(after, name)
            found = disagreements(job.benchmark, job.root, ours, theirs)  # pyright: ignore[reportArgumentType]
        except UserError as error:
            blocks.append(Note(f"No questions of {name} are shown: {error}"))
            continue
        if found is None:
            blocks.append(
                Note(
                    f"No questions of {name} are shown: the answers were not kept beside the "
                    "results, or they are of other questions than those in the data."
                )
            )
            continue
        blocks += browsers(found, models)
    return blocks


def _of(model: Answered, benchmark: str) -> Answered:
    kept: Sequence[Result] = [row for row in model.rows if row.benchmark == benchmark]
    return replace(model, rows=kept)
