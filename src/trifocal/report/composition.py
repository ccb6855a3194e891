"""The chapter on composition: models before and after learning it, what was gained and lost.

`composition_chapter` makes the chapter of one comparison, `results_report` a whole report from
results files alone. The tour's is in `composition_tour`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trifocal.evaluate.curve import CurvePoint
from trifocal.evaluate.names import WORLD, WORLD_NOTE
from trifocal.metrics.result import Result
from trifocal.report.bars import bars_blocks
from trifocal.report.comparison import beyond_noise
from trifocal.report.composition_tables import main_table
from trifocal.report.contender import SUMMARY_NAMES, Contender
from trifocal.report.equal_cost import EqualCost, equal_cost_blocks
from trifocal.report.found import COSTS, found
from trifocal.report.labels import BASE
from trifocal.report.numbers import signed
from trifocal.report.page import Block, Chapter, Facts, Highlight, Highlights, Note, Report
from trifocal.report.pictures import examples, heat_maps, loss_blocks, trade_off_blocks
from trifocal.report.shown import Shown
from trifocal.report.table import tone_of

_TERMS = (
    "Each term as it is trained (weighted). Contrastive terms over different numbers of captions, "
    "as NegCLIP's, are not comparable in height."
)


def composition_chapter(
    contenders: Sequence[Contender],
    *,
    title: str = "Composition",
    lead: str | None = None,
    shown: Sequence[Shown] = (),
    mapped: int = 3,
    featured: str | None = None,
    remark: str = "",
    further: Sequence[Block] = (),
    costs_command: str = "",
    numbers: Highlights | None = None,
    findings: Sequence[str] | None = None,
    equal: EqualCost | None = None,
) -> Chapter:
    """Return the chapter that compares models before and after learning composition.

    Args:
        contenders: The base first; the others are compared with it.
        title, lead: See `Chapter`; by default the lead is the numbers in a sentence.
        shown: Questions with pictures, for the contenders whose model is given.
        mapped: For how many of these the words are mapped, by the base and the featured one.
        featured: Label of the contender that the large numbers are about, by default the last.
        remark: What a reader must know to read the numbers rightly.
        further: What is shown besides, after the parts of benchmarks.
        costs_command: What to type for what the gain costs, where no row tells that.
        numbers, findings: The large numbers, and what was found, in place of those about the
            featured contender against the base.
        equal: The contenders at equal cost, where that is known already.
    """
    by_label = {one.label: one for one in contenders}
    featured = featured or contenders[-1].label
    if featured not in by_label:
        raise ValueError(f"{featured!r} is none of {', '.join(by_label)}")
    chosen = by_label[featured]
    rows = [row for contender in contenders for row in contender.rows]
    highlights = _highlights(contenders[0], chosen) if numbers is None else numbers
    blocks: list[Block] = [highlights] if highlights.items else []
    if remark:
        blocks.append(Note(remark))
    blocks.append(main_table(rows, [one.label for one in contenders]))
    blocks += _unpriced(contenders, costs_command)
    blocks += trade_off_blocks(contenders)
    blocks += equal_cost_blocks(equal or EqualCost(contenders))
    blocks += bars_blocks(rows, [one.label for one in contenders])
    blocks += further
    blocks += loss_blocks(contenders, _TERMS)
    with_model = [one for one in contenders if one.model is not None]
    if shown and with_model:
        blocks.append(examples(with_model, shown))
        told = [question for question in shown if len(question.words) > 1][:mapped]
        before_and_after = [one for one in with_model if one in (contenders[0], chosen)]
        if told and before_and_after:
            maps = heat_maps(before_and_after, told)
            blocks += [] if maps is None else [maps]
    worlds = {row.benchmark.startswith(f"{WORLD}/") for row in rows}
    label = WORLD_NOTE if worlds == {True} else ""
    if worlds == {True, False}:
        label = f"rows named {WORLD}/… were measured {WORLD_NOTE}"
    lead = lead or _lead(contenders[0], chosen)
    told = found(contenders, chosen) if findings is None else findings
    return Chapter(title, lead, blocks, label, told)


def results_report(
    rows: Sequence[Result],
    curves: Mapping[str, Sequence[CurvePoint]] | None = None,
    *,
    base: str | None = None,
    models: Mapping[str, Any] | None = None,
    logs: Mapping[str, Path] | None = None,
    shown: Sequence[Shown] = (),
    remark: str = "",
    title: str = "Results",
    further: Sequence[Block] = (),
    names: Sequence[tuple[str, str]] = (),
    costs_command: str = "",
) -> Report:
    """Return a report of results alone, as `trifocal eval` makes them.

    Args:
        rows: Results of any number of models; the first model is the reference.
        curves: WiSE-FT curves by the name of the tuned model.
        base: Name under `models` of the model that the curves start from.
        models: Models by name, to be asked the questions of `shown`.
        logs: Training logs by the name of the model that came of them.
        shown, remark, further, costs_command: See `composition_chapter`.
        names: What models are called in the report, with their full names, where these differ.
    """
    curves, models, logs = curves or {}, models or {}, logs or {}
    on_curves = {row.model for curve in curves.values() for point in curve for row in point.rows}
    contenders = [
        Contender(
            name, [[r for r in rows if r.model == name]], models.get(name), _listed(logs, name)
        )
        for name in dict.fromkeys(row.model for row in rows)
        if name not in on_curves
    ]
    for name, curve in curves.items():
        first, last = curve[0], curve[-1]
        if not contenders:
            start = models.get(base) if base and first.alpha == 0 else None
            label = BASE if first.alpha == 0 else f"{name}, α = {first.alpha:g}"
            contenders.append(Contender(label, [first.rows], start))
        end = models.get(name) if last.alpha == 1 else None
        label = f"{name}, α = {last.alpha:g}"
        contenders.append(Contender(label, [last.rows], end, _listed(logs, name), [curve]))
    told = {"shown": shown, "remark": remark, "further": further, "costs_command": costs_command}
    chapter = composition_chapter(contenders, title="Comparison", **told)
    protocols = dict.fromkeys((row.benchmark, f"{row.protocol} ({row.version})") for row in rows)
    named = ", ".join(one.label for one in contenders)
    facts = [Facts("How it was measured", list(protocols))]
    facts += [Facts("Which models these are", names)] if names else []
    return Report(title, f"{len(rows)} results of {named}.", [chapter], facts)


def _unpriced(contenders: Sequence[Contender], command: str) -> list[Block]:
    """Return what is said where composition is compared and its price was not measured."""
    numbers = [one.summary().keys() for one in contenders]
    gained = len(contenders) > 1 and all("composition" in each for each in numbers)
    if not command or not gained or any(name in each for each in numbers for name in COSTS):
        return []
    text = (
        "What the gain costs was not measured: there is no row of zero-shot accuracy or of "
        "retrieval. This command adds them; CAPTIONS is a table of photos with captions."
    )
    return [Note(text, command)]


def _listed(logs: Mapping[str, Path], name: str) -> list[Path]:
    return [logs[name]] if name in logs else []


def _highlights(base: Contender, chosen: Contender) -> Highlights:
    before, after = base.summary(), chosen.summary()
    items = []
    for name, label in SUMMARY_NAMES.items():
        if name not in after:
            continue
        value, detail, tone = after[name], "", ""
        if chosen is not base and name in before:
            start = before[name]
            change = value.value - start.value
            detail = f"{signed(change)} points against {base.label} ({start.value:.1f} %)"
            tone = tone_of(change, beyond_noise(value, start), unsure="")
        items.append(Highlight(f"{chosen.label}: {label}", f"{value.value:.1f} %", detail, tone))
    return Highlights(items)


def _lead(base: Contender, chosen: Contender) -> str:
    if chosen is base:
        return f"{base.label} in numbers."
    before, after = base.summary(), chosen.summary()
    parts = [
        f"{label} {signed(after[name].value - before[name].value)}"
        for name, label in SUMMARY_NAMES.items()
        if name in before and name in after
    ]
    return f"{chosen.label} against {base.label}, in points: {', '.join(parts)}."
