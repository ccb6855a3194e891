"""What `trifocal classify` prints: lines and tables that fit a terminal of 80 columns."""

from __future__ import annotations

import inspect
import math
import os
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from trifocal.apps.classify.answers import Because, Evaluation, Reason
from trifocal.apps.classify.fit import Fitted
from trifocal.apps.classify.known import shown_class
from trifocal.concepts.ccli import CCLI
from trifocal.concepts.concept_map import ConceptMap
from trifocal.metrics.intervals import Interval
from trifocal.report.numbers import minus, percentage, signed
from trifocal.report.table import Column, Entry, Row, Table

_LINE = 80  # columns of a terminal
_CONFUSED = 5  # pairs shown
_CLASSES = 20  # rows of recall
_SHOWN_IMAGES = 2  # support images named behind a reason
_DRAWINGS = (
    "The built-in CLIP is tiny and has seen drawings alone; for photos give --model a real one, "
    "such as openai/clip-vit-base-patch32."
)


def fit_lines(fitted: Fitted) -> Iterator[str]:
    """Yield what is to be said of a classifier that was just fitted."""
    saved = fitted.saved
    counts = Counter(saved.labels).values()
    each = f"{min(counts)}" if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"
    with_concepts = f", {len(saved.concepts):,} text concepts" if saved.concepts else ""
    yield (
        f"fitted {saved.method}: {len(saved.classes):,} classes, {len(saved.labels):,} support images "
        f"({each} a class){with_concepts}; backbone {saved.backbone.name}"
    )
    yield f"method: {(inspect.getdoc(saved.head) or '-').splitlines()[0]}"
    measured = saved.metrics
    if measured:
        interval = Interval(measured["acc1"], measured["low"], measured["high"])
        yield (
            f"accuracy on {measured['n']:,} held-out pictures: {_with_interval(interval)} "
            f"(zero-shot {percentage(measured['zero_shot_acc1'])}, chance "
            f"{percentage(measured['chance'])}; {measured['protocol']})"
        )
    if saved.note:
        yield f"note: {saved.note}"
    if isinstance(saved.head, CCLI | ConceptMap):
        yield concepts_line(saved.head.diagnostics_)
    if saved.backbone.name == "builtin":
        yield _DRAWINGS


def fit_facts(fitted: Fitted) -> dict[str, Any]:
    """Return the same as JSON output holds it."""
    saved = fitted.saved
    counts = Counter(saved.classes[label] for label in saved.labels)
    return {
        "method": saved.method,
        "backbone": saved.backbone.name,
        "support": {name: counts[name] for name in saved.classes},
        "text_concepts": len(saved.concepts),
        "held_out": saved.metrics or None,
        "note": saved.note,
    }


def concepts_line(diagnostics: Mapping[str, float]) -> str:
    """Return in plain words how a head's concepts lie on its pictures (see `discovery.diagnose`)."""
    without = int(diagnostics["empty_classes"])
    lacking = f"; {without:,} of the classes have no example of any" if without else ""
    return (
        f"concepts to explain with: {diagnostics['concepts']:,.0f}; "
        f"{percentage(diagnostics['used_share'])} of the support pictures are examples of one{lacking}"
    )


def prediction_table(records: Sequence[dict[str, Any]]) -> Table:
    """Return a row for each picture: its class, how probable that is, and the next ones."""
    rows = []
    for name, record in zip(short_names([each["image"] for each in records]), records):
        others = (
            f"{each['class']} {percentage(each['probability'])}" for each in record["top"][1:]
        )
        share, rest = percentage(record["probability"]), ", ".join(others)
        rows.append(Row(name, [Entry(shown_class(record)), Entry(share), Entry(rest, tone="flat")]))
    columns = [Column("class", words=True), Column("probability"), Column("next", words=True)]
    return Table("", "picture", columns, rows)


def explanation_table(because: Because) -> Table:
    """Return the reasons for a class, and their sum."""
    about = because.about
    others = [guess for guess in because.guesses if guess.label != about.label]
    rest = ", ".join(f"{guess.label} {percentage(guess.probability)}" for guess in others)
    title = f"{about.label}: {percentage(about.probability)}"
    rows = []
    for reason in because.reasons:
        score = reason.term.score if reason.evidence is None else reason.evidence
        images = list(reason.images[:_SHOWN_IMAGES])
        images += [f"+{len(reason.images) - len(images)}"] * (len(reason.images) > len(images))
        entries = [
            Entry(signed(reason.term.value, 3)),
            Entry("" if score is None else minus(f"{score:.2f}")),
            Entry(", ".join(images), tone="flat"),
        ]
        rows.append(Row(described(reason), entries))
    rows.append(
        Row(because.what, [Entry(signed(because.logit, 3)), Entry(""), Entry("")], "strong")
    )
    columns = [Column("adds"), Column("evidence"), Column("support images", words=True)]
    return Table(title + (f" (others: {rest})" if rest else ""), "reason", columns, rows)


def explanation_lines(because: Because) -> Iterator[str]:
    """Yield how much of the decision the reasons explain, and what to beware of."""
    for remark in because.remarks:
        yield from textwrap.wrap(f"{remark[0].upper()}{remark[1:]}.", _LINE)


def below(grounding: float) -> str:
    """Return a z-score with one digit that is not rounded up to a bound it is below."""
    return minus(f"{math.floor(10 * grounding) / 10:.1f}")


def described(reason: Reason) -> str:
    """Return a reason's name, with a warning where that says little."""
    if not reason.ungrounded:
        return reason.shown
    return f"{reason.shown} (ungrounded, z {below(reason.term.grounding or 0.0)})"


def evaluation_tables(found: Evaluation) -> Iterator[Table]:
    """Yield the recall of each class, and the pairs that are confused most."""
    recalls, title = found.recalls, ""
    if len(recalls) > _CLASSES:
        recalls = sorted(recalls, key=lambda each: each[2])[:_CLASSES]
        title = f"the {_CLASSES} of {len(found.recalls):,} classes that are recognized worst"
    yield Table(
        title,
        "class",
        [Column("pictures"), Column("recall")],
        [Row(name, [Entry(f"{n:,}"), Entry(percentage(share))]) for name, n, share in recalls],
    )
    if found.confusions:
        yield Table(
            "",
            "confused",
            [Column("with", words=True), Column("times")],
            [
                Row(true, [Entry(named), Entry(f"{count:,}")])
                for true, named, count in found.confusions[:_CONFUSED]
            ],
        )


def evaluation_lines(found: Evaluation) -> Iterator[str]:
    """Yield the accuracy, and what is to be kept in mind with it."""
    yield f"accuracy on {found.n:,} pictures: {_with_interval(found.accuracy)}"
    before, after = (percentage(error) for error in found.calibration)
    yield f"expected calibration error of its probabilities: {after} (of its bare logits: {before})"
    if found.absent:
        named = ", ".join(found.absent[:3]) + (", …" if len(found.absent) > 3 else "")
        yield f"note: {len(found.absent)} of its classes have no picture here ({named})"
    if found.seen:
        yield f"note: it was fitted to {found.seen:,} of these pictures" + (
            f"; on the {found.n - found.seen:,} others: {_with_interval(found.unseen)}"
            if found.unseen
            else ", so this tells little about new ones"
        )


def _with_interval(share: Interval) -> str:
    low, high = percentage(share.low), percentage(share.high)
    return f"{percentage(share.value)}, 95 % interval {low} to {high}"


def short_names(paths: Sequence[str]) -> list[str]:
    """Return paths from the folder on that all of them are in."""
    try:
        folder = os.path.commonpath([os.path.dirname(path) for path in paths])
    except ValueError:  # some begin at the root, and some do not
        return list(paths)
    return [os.path.relpath(path, folder) if folder else path for path in paths]
