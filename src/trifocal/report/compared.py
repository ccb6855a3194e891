"""The page of two models compared question by question."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from trifocal.composition.registry import BENCHMARKS
from trifocal.errors import UserError
from trifocal.evaluate.disagreements import Answered, disagreements
from trifocal.evaluate.paired import Compared
from trifocal.evaluate.runner import make_job
from trifocal.metrics.result import Result
from trifocal.report.bars import bars_blocks
from trifocal.report.comparison import measure_of
from trifocal.report.disagreements import browsers
from trifocal.report.found import counted_text, joined
from trifocal.report.labels import full_names, labels
from trifocal.report.numbers import signed
from trifocal.report.page import Block, Chapter, Facts, Note, Report
from trifocal.report.table import Table


def compared_report(
    compared: Sequence[Compared],
    table: Table,
    before: Answered,
    after: Answered,
    root: str | os.PathLike[str] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Report:
    """Return a page of the differences, the parts of benchmarks, and questions to look at.

    Args:
        compared: Each measure of the two.
        table: The differences (see `paired_table`).
        before, after: The rows of the two models that were compared, and their answers.
        root: Folder of the benchmarks' data; without it no questions are shown.
        settings: Options that the questions were asked with.
    """
    ours, theirs = before.rows[0].model, after.rows[0].model
    shown = labels([ours, theirs])
    first, second = shown[ours], shown[theirs]
    if first == second:  # two runs of one name
        second = f"{second} (after)"
    rows = [row.of(first) for row in before.rows] + [row.of(second) for row in after.rows]
    blocks: list[Block] = [replace(table, title="Question by question")]
    blocks += bars_blocks(rows, [first, second])
    if root is None:
        blocks.append(Note("Give --root, the folder of the data, to see questions here."))
    else:
        blocks += _questions(before, after, root, settings or {}, (first, second))
    lead = f"{second} against {first}, on the questions that both answered."
    protocols = dict.fromkeys((row.benchmark, f"{row.protocol} ({row.version})") for row in rows)
    facts = [Facts("How it was measured", list(protocols))]
    others = full_names(shown)
    facts += [Facts("Which models these are", others)] if others else []
    return Report(
        "Two models compared",
        f"{len(before.rows)} measures of {first} and {second}.",
        [Chapter("Comparison", lead, blocks, found=found(compared, first, second))],
        facts,
    )


def found(compared: Sequence[Compared], before: str, after: str) -> list[str]:
    """Return in sentences on how many measures one is better, and the largest gain and loss."""
    known = [one for one in compared if one.difference is not None]
    if not known:
        why = joined([*dict.fromkeys(one.why for one in compared)])
        return [f"Nothing can be said of {after} against {before} question by question: {why}."]
    real = [one for one in known if one.real]
    better = sum(one.gain > 0 for one in real)
    told = [counted_text(after, before, len(known), better, len(real) - better)]
    most = max(real, key=lambda one: one.gain, default=None)
    least = min(real, key=lambda one: one.gain, default=None)
    words = {"The largest gain": most if better else None}
    words["The largest loss"] = least if better < len(real) else None
    for name, one in words.items():
        if one is not None:
            told.append(f"{name}: {_measured(one)}.")
    others = len(compared) - len(known)
    if others:
        told.append(f"{others} other{'s' if others > 1 else ''} could not be paired.")
    return told


def _measured(one: Compared) -> str:
    """Return a measure with its difference and the difference's interval."""
    assert one.difference is not None
    scale, unit = (1, "places") if one.before.is_rank else (100, "points")
    value, low, high = (
        signed(scale * each)
        for each in (one.difference.value, one.difference.low, one.difference.high)
    )
    name = f"{one.before.benchmark} {measure_of(one.before)}"
    return f"{name}, {value} {unit} (95 % interval {low} to {high})"


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
