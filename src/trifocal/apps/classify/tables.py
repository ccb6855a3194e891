"""What `trifocal classify` prints: lines and tables that fit a terminal of 80 columns."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from trifocal.apps.classify.answers import Because, Evaluation, Reason
from trifocal.apps.classify.fit import Fitted
from trifocal.concepts.discovery import describe
from trifocal.concepts.method import CCLI
from trifocal.metrics.intervals import Interval

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
        f"{saved.method}: {len(saved.classes):,} classes, {len(saved.labels):,} support images "
        f"({each} a class){with_concepts}; backbone {saved.backbone.name}"
    )
    measured = saved.metrics
    if measured:
        interval = Interval(measured["acc1"], measured["low"], measured["high"])
        yield (
            f"accuracy on {measured['n']:,} held-out pictures: {_with_interval(interval)} "
            f"(zero-shot {percent(measured['zero_shot_acc1'])}, chance "
            f"{percent(measured['chance'])}; {measured['protocol']})"
        )
    if saved.note:
        yield f"note: {saved.note}"
    if isinstance(saved.head, CCLI):
        yield f"visual concepts: {describe(saved.head.diagnostics_)}"
    if saved.backbone.name == "builtin":
        yield _DRAWINGS


def prediction_table(records: Sequence[dict[str, Any]]) -> Table:
    """Return a row for each picture: its class, how probable that is, and the next ones."""
    table = Table(box=None, pad_edge=False)
    table.add_column("picture", overflow="fold", ratio=3)
    table.add_column("class", overflow="fold", ratio=2)
    table.add_column("probability", justify="right", no_wrap=True)
    table.add_column("next", overflow="fold", ratio=3, style="dim")
    for name, record in zip(short_names([each["image"] for each in records]), records):
        others = (f"{each['class']} {percent(each['probability'])}" for each in record["top"][1:])
        table.add_row(
            Text(name),
            Text(record["class"]),
            percent(record["probability"]),
            Text(", ".join(others)),
        )
    return table


def explanation_table(because: Because) -> Table:
    """Return the reasons for a class, and their sum."""
    about = because.about
    others = [guess for guess in because.guesses if guess.label != about.label]
    rest = ", ".join(f"{guess.label} {percent(guess.probability)}" for guess in others)
    title = f"{about.label}: {percent(about.probability)}" + (f" (others: {rest})" if rest else "")
    table = Table(box=None, pad_edge=False, title=Text(title), title_justify="left")
    table.add_column("adds", justify="right", no_wrap=True)
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column("reason", overflow="fold", ratio=3)
    table.add_column("support images", overflow="fold", ratio=4, style="dim")
    for reason in because.reasons:
        score = reason.term.score
        images = list(reason.images[:_SHOWN_IMAGES])
        images += [f"+{len(reason.images) - len(images)}"] * (len(reason.images) > len(images))
        table.add_row(
            signed(reason.term.value),
            "" if score is None else minus(f"{score:.2f}"),
            Text(described(reason)),
            Text(", ".join(images)),
        )
    table.add_section()
    table.add_row(signed(because.logit), "", Text(because.what), "")
    return table


def described(reason: Reason) -> str:
    """Return a reason's name, with a warning where that says little."""
    if not reason.ungrounded:
        return reason.name
    return f"{reason.name} (ungrounded, z {reason.term.grounding:.1f})"


def evaluation_tables(found: Evaluation) -> Iterator[Table]:
    """Yield the recall of each class, and the pairs that are confused most."""
    recalls, title = found.recalls, None
    if len(recalls) > _CLASSES:
        recalls = sorted(recalls, key=lambda each: each[2])[:_CLASSES]
        title = f"the {_CLASSES} of {len(found.recalls):,} classes that are recognized worst"
    table = Table(box=None, pad_edge=False, title=title, title_justify="left")
    table.add_column("class", overflow="fold")
    table.add_column("pictures", justify="right")
    table.add_column("recall", justify="right")
    for name, count, share in recalls:
        table.add_row(Text(name), f"{count:,}", percent(share))
    yield table
    if found.confusions:
        pairs = Table(box=None, pad_edge=False)
        pairs.add_column("confused", overflow="fold")
        pairs.add_column("with", overflow="fold")
        pairs.add_column("times", justify="right")
        for true, named, count in found.confusions[:_CONFUSED]:
            pairs.add_row(Text(true), Text(named), f"{count:,}")
        yield pairs


def evaluation_lines(found: Evaluation) -> Iterator[str]:
    """Yield the accuracy, and what is to be kept in mind with it."""
    yield f"accuracy on {found.n:,} pictures: {_with_interval(found.accuracy)}"
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
    low, high = percent(share.low), percent(share.high)
    return f"{percent(share.value)}, 95 % interval {low} to {high}"


def short_names(paths: Sequence[str]) -> list[str]:
    """Return paths from the folder on that all of them are in."""
    try:
        folder = os.path.commonpath([os.path.dirname(path) for path in paths])
    except ValueError:  # some begin at the root, and some do not
        return list(paths)
    return [os.path.relpath(path, folder) if folder else path for path in paths]


def percent(share: float) -> str:
    """Return a share as tables print it."""
    return f"{100 * share:.1f}\N{NO-BREAK SPACE}%"


def signed(value: float) -> str:
    """Return a summand with its sign and three decimals."""
    return minus(f"{value:+.3f}")


def minus(number: str) -> str:
    """Return a number with a sign as long as the plus."""
    return number.replace("-", "−")
