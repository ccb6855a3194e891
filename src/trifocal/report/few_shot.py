"""What a report says of few-shot results: curves over shots, gains, tables, and the protocol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from trifocal.evaluate.few_shot.pairs import Answers
from trifocal.evaluate.few_shot.rows import BASE, NEW, TEST, protocol_parts
from trifocal.evaluate.few_shot.summary import Summary
from trifocal.evaluate.names import WORLD, WORLD_NOTE
from trifocal.report import few_shot_figures
from trifocal.report.concept_curves import concept_blocks
from trifocal.report.few_shot_found import ZERO_SHOT, found
from trifocal.report.few_shot_tables import (
    accuracy,
    base_to_new_table,
    costs_table,
    differences_table,
    domains_table,
    listed,
    shots_table,
)
from trifocal.report.figures import Series
from trifocal.report.numbers import percent, seconds_text, shots_text, signed, trained_text
from trifocal.report.page import (
    Block,
    Chapter,
    Facts,
    Highlight,
    Highlights,
    Note,
    Plot,
    Plots,
    Report,
)
from trifocal.report.table import Column, Row, Table, tone_of

_MARKED = 3  # methods beside the featured one in the figure of gains

_HONEST = (
    "Each method is fitted to the support pictures and selects on validation pictures or on "
    "nothing; the test pictures are opened after that."
)
_SEEN = (
    "CLIP has probably seen pictures of public benchmarks while it was trained (Kravets et al., "
    "arXiv 2507.20834), which no few-shot protocol can undo."
)


def few_shot_report(
    summary: Summary,
    answers: Answers,
    reference: str,
    commands: Sequence[str] = (),
    title: str = "Few-shot learning",
) -> Report:
    """Return a report of few-shot results alone, as `trifocal eval few-shot` makes it.

    `commands` is what was typed; see `few_shot_chapter` for the rest.
    """
    names = ", ".join(summary.methods)
    facts = [*protocol_facts(summary)]
    if commands:
        facts.append(Facts("Command", [], commands))
    text = f"{names} on {listed(summary.datasets)}."
    return Report(title, text, [few_shot_chapter(summary, answers, reference)], facts)


def few_shot_chapter(
    summary: Summary,
    answers: Answers,
    reference: str,
    *,
    title: str = "Over shots",
    lead: str | None = None,
    remark: str = "",
) -> Chapter:
    """Return the chapter of a few-shot comparison.

    Args:
        summary: The results.
        answers: Which questions were answered rightly, for paired differences.
        reference: Method that is featured, and that the others are compared with.
        title, lead: See `Chapter`; by default the lead is the numbers in a sentence.
        remark: What a reader must know besides.
    """
    own = summary.having(TEST)
    on_world = all(name.partition("/")[0] == WORLD for name in summary.datasets)
    blocks: list[Block] = []
    if own:
        large = highlights(summary, own, reference)
        blocks += [large] if large.items else []
        blocks.append(Note(" ".join(filter(None, (_HONEST, "" if on_world else _SEEN, remark)))))
        blocks += curve_blocks(summary, own, reference)
        blocks += gain_blocks(summary, own, reference)
        blocks += [differences_table(summary, answers, own, reference)]
        blocks += concept_blocks(summary, own, reference)
    blocks += [domains_table(summary, name) for name in summary.datasets if summary.domains(name)]
    halves = summary.having(BASE, NEW)
    blocks += [base_to_new_table(summary, halves)] if halves else []
    blocks.append(costs_table(summary))
    blocks = [block for block in blocks if not isinstance(block, Table) or block.rows]
    label = WORLD_NOTE if on_world else ""
    said = found(summary, answers, own, reference)
    return Chapter(title, lead or _lead(summary, own, reference), blocks, label, said)


def highlights(summary: Summary, datasets: Sequence[str], reference: str) -> Highlights:
    """Return the featured method's accuracy at the fewest and the most shots, and its cost."""
    counts = dict.fromkeys((summary.shots[0], summary.shots[-1]))
    items = [accuracy_highlight(summary, datasets, reference, count) for count in counts]
    return Highlights([item for item in (*items, cost_highlight(summary, reference)) if item])


def accuracy_highlight(
    summary: Summary, datasets: Sequence[str], reference: str, count: int, of: str = ""
) -> Highlight | None:
    """Return a method's accuracy, averaged over data sets, and its gain over zero-shot."""
    value = summary.mean(reference, datasets, [count])
    zero = summary.mean(ZERO_SHOT, datasets, [count])
    if value is None:
        return None
    label = f"{reference}, {shots_text(count)}{of}"
    if zero is None or reference == ZERO_SHOT:
        return Highlight(label, f"{percent(value.value)} %")
    gain = 100 * (value.value - zero.value)
    detail = f"{signed(gain)} points over zero-shot ({percent(zero.value)} %)"
    return Highlight(label, f"{percent(value.value)} %", detail, tone_of(gain))


def cost_highlight(summary: Summary, reference: str) -> Highlight | None:
    """Return the seconds of a fit at the most shots, and the parameters it trains."""
    found = summary.costs(reference, summary.shots[-1])
    if found is None:
        return None
    detail = f"{trained_text(*found.parameters)} parameters trained"
    return Highlight(f"{reference}: fitted in", f"{seconds_text(found.fit)} s", detail)


def curve_blocks(summary: Summary, datasets: Sequence[str], reference: str) -> list[Block]:
    """Return accuracy over shots: on average with the numbers beside it, and on each data set."""
    several = len(datasets) > 1
    title = f"Average of {len(datasets)} data sets" if several else datasets[0]
    series = _series(summary, datasets, reference)
    many = len(series) > few_shot_figures.MANY
    seeds = summary.seeds()
    # Over test pictures, methods rise and fall together: their intervals overlap and say little.
    bands = seeds > 1 and not many
    plot = curves(summary, datasets, reference, legend=not many, bands=bands)
    table = shots_table(summary, datasets, reference)
    drawn = f"Mean of {seeds} draws" if seeds > 1 else "One draw"
    over = "draws" if seeds > 1 else "test pictures"
    shaded = "shaded" if bands else f"shaded for {reference}"
    text = f"{drawn} of the support; intervals (±, {shaded}): 95 % over {over}."
    blocks: list[Block] = [Plots(title, [plot], text, table)]
    if many:
        below = replace(table, title=f"{title}, in percent")
        blocks = [Plots(title, [plot, _legend(series)], text), below]
    if several:
        options: dict[str, Any] = {"small": True, "legend": False, "bands": bands}
        plots = [
            curves(summary, [dataset], reference, title=dataset, **options) for dataset in datasets
        ]
        plots.append(_legend(_series(summary, datasets[:1], reference), small=True))
        blocks.append(Plots("Data set by data set", plots, "Each panel has a scale of its own."))
    return blocks


def curves(
    summary: Summary, datasets: Sequence[str], reference: str, *, title: str = "", **options: Any
) -> Plot:
    """Return the figure of accuracy over shots, averaged over data sets; see `over_shots`."""
    series = _series(summary, datasets, reference)
    figure = few_shot_figures.over_shots(series, title=title, **options)
    heading = f"{title}: accuracy over shots" if title else "Accuracy over shots"
    return Plot(figure, f"{heading}. {_told(series)}")


def _legend(series: Sequence[Series], small: bool = False) -> Plot:
    figure = few_shot_figures.legend_alone(series, small=small)
    return Plot(figure, "Legend: " + ", ".join(line.label for line in series))


def _series(summary: Summary, datasets: Sequence[str], reference: str) -> list[Series]:
    """Return a line a method, in percent; methods without a full point are left out."""
    found = []
    for method in summary.methods:
        cells = [(count, summary.mean(method, datasets, [count])) for count in summary.shots]
        known = [(count, cell) for count, cell in cells if cell is not None]
        if known:
            x = [float(count) for count, _ in known]
            y = [100 * cell.value for _, cell in known]
            band = ([100 * cell.low for _, cell in known], [100 * cell.high for _, cell in known])
            found.append(Series(method, x, y, place=_place(summary, method, reference), band=band))
    return found


def _place(summary: Summary, method: str, reference: str) -> int:
    """Return the color and marker of a method: zero-shot's, the featured one's, then in order."""
    if method == ZERO_SHOT:
        return few_shot_figures.FLAT
    others = [name for name in summary.methods if name not in (ZERO_SHOT, reference)]
    first = few_shot_figures.FEATURED
    return first if method == reference else first + 1 + others.index(method)


def _told(series: Sequence[Series]) -> str:
    return "; ".join(
        f"{line.label}: {line.y[0]:.1f} at {line.x[0]:g}, {line.y[-1]:.1f} at {line.x[-1]:g}"
        for line in series
    )


def gain_blocks(summary: Summary, datasets: Sequence[str], reference: str) -> list[Block]:
    """Return the gain over zero-shot on every data set, at the most shots."""
    count = summary.shots[-1]
    values = {
        (method, name): summary.mean(method, [name], [count])
        for method in summary.methods
        for name in datasets
    }
    full = [m for m in summary.methods if all(values[m, name] is not None for name in datasets)]
    comparable = ZERO_SHOT in full and reference in full and reference != ZERO_SHOT
    if len(datasets) < 2 or not comparable:
        return []

    def gain(method: str, name: str) -> float:
        cell, zero = values[method, name], values[ZERO_SHOT, name]
        assert cell is not None
        assert zero is not None
        return 100 * (cell.value - zero.value)

    order = sorted(datasets, key=lambda name: -gain(reference, name))
    others = [method for method in full if method not in (ZERO_SHOT, reference)]
    average = {m: sum(gain(m, name) for name in datasets) for m in others}
    others = sorted(others, key=lambda method: -average[method])[:_MARKED]
    lines = [
        Series(m, [gain(m, name) for name in order], [], place=_place(summary, m, reference))
        for m in (reference, *others)
    ]
    label = f"points over zero-shot, {shots_text(count)}"
    figure = few_shot_figures.gains(order, lines[0], lines[1:], label)
    told = "; ".join(f"{name} {signed(x)}" for name, x in zip(order, lines[0].x, strict=True))
    text = (
        f"Bars: {reference}. Marks: the {len(others)} others that gain most on average."
        if others
        else f"{reference} alone."
    )
    plot = Plot(figure, f"Gain of {reference} over zero-shot: {told}.")
    rows = []
    for name, points in zip(order, lines[0].x, strict=True):
        after, before = values[reference, name], values[ZERO_SHOT, name]
        compared = replace(accuracy(after), change=signed(points), tone=tone_of(points))
        rows.append(Row(name, [replace(each, spread="") for each in (accuracy(before), compared)]))
    table = Table("", "data set", [Column(ZERO_SHOT), Column(reference)], rows)
    return [Plots("Gain over zero-shot", [plot], text, table)]


def protocol_facts(summary: Summary) -> list[Facts]:
    """Return how the numbers were made: the protocols of every data set, and of every method."""
    common: dict[str, dict[str, None]] = {}
    own: dict[str, dict[str, None]] = {}
    for one in summary.measured:
        parts = protocol_parts(one.row)
        kept = {name: parts.pop(name) for name in ("selection", "concepts") if name in parts}
        text = "; ".join(f"{name}: {value}" for name, value in parts.items())
        common.setdefault(one.place.dataset, {}).setdefault(text)
        told = "; ".join(f"{name}: {value}" for name, value in kept.items())
        own.setdefault(one.method, {}).setdefault(told)
    seeds = sorted({one.row.seed for one in summary.measured if one.row.seed is not None})
    drawn = ", ".join(map(str, seeds)) or "the draw that came with the features"
    shots = ", ".join(map(str, summary.shots))
    general = [("shots", shots), ("seeds", drawn), ("tested", "once, after fitting")]
    return [
        Facts("Protocol", general),
        Facts("Data sets", [(name, " / ".join(texts)) for name, texts in common.items()]),
        Facts("Methods", [(name, " / ".join(texts)) for name, texts in own.items()]),
    ]


def _lead(summary: Summary, datasets: Sequence[str], reference: str) -> str:
    counts = ", ".join(map(str, summary.shots))
    start = (
        f"A few pictures of each class ({counts}), a frozen backbone, and a head on its features"
    )
    if not datasets:
        return f"{start}."
    whole = {
        method: cell
        for method in summary.methods
        if (cell := summary.mean(method, datasets, summary.shots)) is not None
    }
    ranked = sorted(whole, key=lambda method: -whole[method].value)
    told = ", ".join(f"{name} {percent(whole[name].value)}" for name in ranked[:3])
    averaged = ["all shots"] if len(summary.shots) > 1 else []
    averaged += [listed(datasets)] if len(datasets) > 1 else []
    over = f", averaged over {' and '.join(averaged)}" if averaged else ""
    on = f" on {datasets[0]}" if len(datasets) == 1 else ""
    mine = ""
    if reference in ranked[3:]:
        mine = f"; {reference} {percent(whole[reference].value)}"
    return f"{start}. Percent right{on}{over}: {told}{mine}." if ranked else f"{start}."
