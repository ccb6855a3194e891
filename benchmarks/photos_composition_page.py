"""Tables and plots of what `photos_composition.py` has measured, for a page of the documentation."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from trifocal.errors import UserError
from trifocal.evaluate.curve import CurvePoint
from trifocal.evaluate.price import at_price, difference_at_price
from trifocal.evaluate.summary import part_of, questions, summarize
from trifocal.files import atomic_write
from trifocal.metrics.intervals import Difference, drawn_difference, over_seeds, wilson
from trifocal.report import figures
from trifocal.report.markdown import markdown
from trifocal.report.numbers import p_text, percent, signed
from trifocal.report.table import Column, Entry, Row, Table

if TYPE_CHECKING:
    from photos_composition import Study

_PART = "<!-- photos_composition: {part}: {place} -->"
_TOGETHER = "together"
NUMBERS = {
    "composition": "SugarCrepe",
    "zero_shot": "zero-shot",
    "i2t": "image→text R@1",
    "t2i": "text→image R@1",
}
GROUPS = ("replace", "swap", "add")
# Of zero-shot accuracy and recall, on average, and what it is called.
_LOST = {0.0: "nothing lost", 0.01: "1 point lost", 0.02: "2 points lost"}
PRICES = tuple(_LOST)
# The first of each pair is what the paper claims more of.
PAIRS = [
    ("FSC-CLIP", "NegCLIP"),
    ("FSC-CLIP", "global"),
    ("FSC-CLIP", "fine-tuning"),
    ("FSC-CLIP", "LABCLIP"),
    ("FSC-CLIP, distilled", "FSC-CLIP"),
]
ENDS = [
    *((name, "base") for name in ("fine-tuning", "NegCLIP", "FSC-CLIP", "LABCLIP")),
    ("FSC-CLIP", "NegCLIP"),
    ("local", "global"),
]
_SAMPLES = 2000
_PAPER = "#ffffff"

Curve = list[CurvePoint]
Curves = dict[str, list[Curve]]  # by method, one for each seed


def write_page(study: Study, page: Path | None) -> None:
    """Write a file and the plots of each part that was asked for, and renew these parts of a page.

    Raises:
        UserError: the page does not say where a part stands.
    """
    texts = {part: _part(study, part, page) for part in study.told.parts if study.tried(part)}
    texts[_TOGETHER] = markdown(_together(study))
    for part, text in texts.items():
        with atomic_write(study.out / f"{part}.md", force=True) as aside:
            aside.write_text(text)
        if page is not None:
            _renew(page, part, text)


def _renew(page: Path, part: str, text: str) -> None:
    """Put a part's tables into a page, between the two lines that mark the place."""
    begin, end = (_PART.format(part=part, place=place) for place in ("begin", "end"))
    whole = page.read_text()
    if begin not in whole or end not in whole:
        raise UserError(f"{page} lacks the lines {begin} and {end}; put them into it.")
    before, rest = whole.split(begin)
    page.write_text(f"{before}{begin}\n\n{text}\n{end}{rest.split(end)[1]}")


def _part(study: Study, part: str, page: Path | None) -> str:
    """Return the tables and pictures of a part, as Markdown."""
    main = _found(study, part, study.main)
    parts = [f"### {study.parts[part].title}\n"]
    parts += [markdown(_tried(study, part))]
    if not main:
        return "\n".join(parts)
    ablation = _found(study, part, study.ablation)
    name = f"photos-composition-{part}.png"
    folder = page.parent / "images" if page is not None else study.out
    with atomic_write(folder / name, force=True) as aside:
        aside.write_bytes(_plot(study, {**main, **ablation}, list(main)))
    shown = "images/" + name if page is not None else name
    parts += [_about(study, part)]
    parts += [markdown(_scores(study, main))]
    parts += [markdown(_ends({"base": _still(study, main), **main, **ablation}))]
    parts += [f"![Composition against zero-shot accuracy and retrieval]({shown})\n"]
    parts += [markdown(_differences({**main, **ablation}))]
    if ablation:
        whole = {"all four (FSC-CLIP)": main["FSC-CLIP"]} if "FSC-CLIP" in main else {}
        parts += ["The four terms of FSC-CLIP, alone and together:\n"]
        parts += [markdown(_scores(study, {**ablation, **whole}))]
    return "\n".join(parts)


def _found(study: Study, part: str, methods: Sequence[str]) -> Curves:
    """Return the curves that there are, of the seeds that were asked for."""
    found: Curves = {}
    for method in methods:
        curves = [study.curve(part, method, seed) for seed in study.told.seeds]
        if present := [curve for curve in curves if curve is not None]:
            found[method] = present
    return found


def _about(study: Study, part: str) -> str:
    """Say what was trained, and which rates dev photos chose."""
    rates = [f"{name} {study.rate(part, name):g}" for name in study.main if study.rated(part, name)]
    return f"{_length(study, part)}; rates chosen on dev photos: {', '.join(rates)}.\n"


def _length(study: Study, part: str) -> str:
    return f"{study.parts[part].steps} steps of {study.parts[part].batch} photos"


def _tried(study: Study, part: str) -> Table:
    """Return what dev photos say of every rate."""
    start = study.start("dev").rows
    base, count = summarize(start), questions(start)["composition"]
    names = ("composition", "i2t", "t2i", "retrieval")
    rows = [Row("base, –", [Entry(percent(base[name])) for name in names])]
    for (method, rate), found in study.tried(part).items():
        rows.append(Row(f"{method}, {rate:g}", [Entry(percent(found[name])) for name in names]))
    heads = ("made-up negatives", "image→text R@1", "text→image R@1", "mean R@1")
    caption = (
        f"{_length(study, part)}, seed 0, on Flickr8k's dev photos: percent of {count:,} captions "
        "told from hard negatives made of them, and recall among 1,000 photos with two captions each."
    )
    return Table("Rates", "method, learning rate", [Column(head) for head in heads], rows, caption)


def _scores(study: Study, curves: Curves) -> Table:
    """Return the models at the ends of their curves."""
    base = study.start("test").rows
    rows = [Row("base", _line(base, [base]))]
    best = {name: max(_mean(runs, name) for runs in curves.values()) for name in NUMBERS}
    for method, runs in curves.items():
        rows.append(Row(method, _line(base, [curve[-1].rows for curve in runs], best)))
    columns = [Column(name) for name in (*GROUPS, *NUMBERS.values(), "runs")]
    counts = questions(base)
    caption = (
        f"Percent right. {counts['composition']:,} questions of SugarCrepe, {counts['zero_shot']} "
        f"photos to name (Caltech and PACS, mean of both), {counts['i2t']:,} photos and "
        f"{counts['t2i']:,} captions to retrieve. ± is half of the 95 % interval: over questions for "
        "the base and single runs, over runs (Student's) for several."
    )
    return Table("Scores", "", columns, rows, caption)


def _mean(runs: Sequence[Sequence[CurvePoint]], name: str) -> float:
    """Return a number of the summary at the ends of curves."""
    return over_seeds([summarize(curve[-1].rows)[name] for curve in runs]).value


def _line(base: Sequence, runs: Sequence[Sequence], best: dict[str, float] | None = None):
    """Return a row's entries: groups, then the numbers of the summary, then the count of runs."""
    entries = []
    for group in GROUPS:
        values = [one.value for rows in runs for one in rows if one.task == group]
        entries.append(Entry(percent(float(np.mean(values)))))
    counts = questions(base)
    for name in NUMBERS:
        values = [summarize(rows)[name] for rows in runs]
        one = over_seeds(values) if len(values) > 1 else wilson(values[0], counts[name])
        first = best is not None and one.value == best[name]
        entries.append(Entry(percent(one.value), spread=percent(one.half), best=first))
    return [*entries, Entry(f"{len(runs)}" if best is not None else "–")]


def _still(study: Study, curves: Curves) -> list[Curve]:
    """Return the base as a method that changes nothing, once for each seed."""
    return [[study.start("test")] for _ in max(curves.values(), key=len)]


def _ends(curves: Curves) -> Table:
    """Return the differences between methods at the ends of their curves."""
    rows = []
    for one, other in ENDS:
        if one in curves and other in curves:
            found = [_difference([(curves[one], curves[other])], name) for name in NUMBERS]
            rows.append(Row(f"{one} − {other}", [Entry(_spanned(each)) for each in found]))
    caption = (
        "Points, on the same questions; intervals of 95 % by the bootstrap over questions and seeds. "
        "Bold: zero is outside."
    )
    return Table("Ends", "", [Column(name) for name in NUMBERS.values()], rows, caption)


def _spanned(one: Difference) -> str:
    low, high = signed(100 * one.low), signed(100 * one.high)
    text = f"{signed(100 * one.value)} [{low}, {high}]"
    return f"**{text}**" if one.low > 0 or one.high < 0 else text


def _difference(pairs: Sequence[tuple[Sequence[Curve], Sequence[Curve]]], name: str) -> Difference:
    """Return the paired difference of a number of the summary at the ends of curves.

    Args:
        pairs: Curves of two methods, seed by seed; the mean is taken over several such pairs.
        name: Of the number.
    """
    rng = np.random.default_rng(0)
    counts = [min(len(one), len(other)) for one, other in pairs]
    seeds = [rng.multinomial(n, np.full(n, 1 / n), _SAMPLES) / n for n in counts]
    rows = pairs[0][0][0][-1].rows
    values, drawn = [], []
    for row in range(len(rows)):
        if part_of(rows[row]) != name:
            continue
        n = len(_marks(pairs[0][0][0], row))
        weights = rng.multinomial(n, np.full(n, 1 / n), _SAMPLES) / n  # the same for all pairs
        for (one, other), count, chosen in zip(pairs, counts, seeds, strict=True):
            gained = np.stack([_marks(one[k], row) - _marks(other[k], row) for k in range(count)])
            values.append(gained.mean())
            drawn.append(np.einsum("sr,rn,sn->s", chosen, gained, weights, optimize=True))
    return drawn_difference(float(np.mean(values)), np.mean(drawn, axis=0))


def _together(study: Study) -> Table:
    """Return the difference that the paper is about in every part, and its mean over all parts."""
    rows, every = [], []
    for part, about in study.parts.items():
        found = _found(study, part, ["FSC-CLIP", "NegCLIP"])
        if len(found) == 2:
            every.append((found["FSC-CLIP"], found["NegCLIP"]))
            rows.append(_claim(about.title, every[-1:]))
    if len(rows) > 1:
        rows.append(_claim("mean of these", every))
    caption = (
        "FSC-CLIP − NegCLIP in points, on the same questions; intervals of 95 % by the bootstrap over "
        "questions, the same in all rows, and seeds. Bold: zero is outside."
    )
    return Table("Together", "", [Column(name) for name in NUMBERS.values()], rows, caption)


def _claim(label: str, pairs: Sequence[tuple[Sequence[Curve], Sequence[Curve]]]) -> Row:
    return Row(label, [Entry(_spanned(_difference(pairs, name))) for name in NUMBERS])


def _marks(curve: Curve, row: int) -> np.ndarray:
    marks = curve[-1].rows[row].marks
    if marks is None:
        raise ValueError(
            f"{curve[-1].rows[row].key} has no marks, so its questions cannot be drawn"
        )
    return marks.numpy()


def _differences(curves: Curves) -> Table:
    """Return how much more composition one method has than another at equal cost."""
    rows = []
    for one, other in PAIRS:
        if one not in curves or other not in curves:
            continue
        count = min(len(curves[one]), len(curves[other]))
        entries = []
        for price in PRICES:
            mine, theirs = curves[one][:count], curves[other][:count]
            found = difference_at_price(mine, theirs, price)
            low, high = signed(100 * found.low), signed(100 * found.high)
            entries += [Entry(f"{signed(100 * found.value)} [{low}, {high}]"), Entry(p_text(found))]
        bought = [[at_price(curve, price) for curve in curves[one]] for price in PRICES]
        entries.append(Entry(" / ".join(percent(float(np.mean(each))) for each in bought)))
        rows.append(Row(f"{one} − {other}", entries))
    columns = [Column(x) for price in PRICES for x in (_LOST[price], "p")]
    caption = (
        "More of SugarCrepe, in points, read off both lines back to the base where zero-shot accuracy "
        "and recall@1, on average, have lost so many points (a line that never loses as much is read "
        "at its end); 95 % intervals by the bootstrap over questions, the same for both, and seeds. "
        "Last: what the first one has there."
    )
    return Table("At equal cost", "", [*columns, Column("the first has")], rows, caption)


def _plot(study: Study, curves: Curves, named: Sequence[str]) -> bytes:
    """Draw composition against what must not be lost, whole lines, as a PNG."""
    base = summarize(study.start("test").rows)
    with mpl.rc_context({**figures.RC, "figure.facecolor": _PAPER}):
        figure = Figure(figsize=(9.2, 4.2), layout="constrained")
        every = figure.subplots(1, 2, sharey=True)
        costs = {"zero_shot": "zero-shot accuracy, %", "retrieval": "retrieval, mean R@1, %"}
        for axes, (cost, label) in zip(every, costs.items(), strict=True):
            axes.grid(alpha=0.25, lw=0.5, color=figures.INK)
            axes.axvline(100 * base[cost], color=figures.INK, alpha=0.35, lw=0.8, ls=(0, (4, 4)))
            axes.axhline(
                100 * base["composition"], color=figures.INK, alpha=0.35, lw=0.8, ls=(0, (4, 4))
            )
            for place, (method, runs) in enumerate(curves.items(), start=1):
                color, marker, _ = figures.style(place)
                points = [[summarize(point.rows) for point in curve] for curve in runs]
                x, y = (
                    100 * np.array([[point[name] for point in curve] for curve in points])
                    for name in (cost, "composition")
                )
                faint = method not in named
                axes.plot(
                    x.mean(0), y.mean(0), color=color, lw=0.9 if faint else 1.6,
                    alpha=0.45 if faint else 0.9, ls=(0, (1.2, 1.2)) if faint else "-",
                )  # fmt: skip
                axes.scatter(
                    x.mean(0)[-1], y.mean(0)[-1], color=color, marker=marker, label=method,
                    s=26 if faint else 60, alpha=0.6 if faint else 1, zorder=3,
                )  # fmt: skip
                if not faint:
                    axes.scatter(x[:, -1], y[:, -1], color=color, s=9, alpha=0.6, zorder=2)
            axes.set_xlabel(label)
        every[0].set_ylabel("SugarCrepe, % right")
        handles, labels = every[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=4, fontsize=8.5)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=130, metadata={"Software": None})
    return buffer.getvalue()
