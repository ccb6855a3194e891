"""Methods at equal cost: what each has gained where all of them have lost as much."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trifocal.evaluate.price import GAINED, Curve, at_price, difference_at_price
from trifocal.evaluate.summary import part_of, questions, summarize
from trifocal.metrics.intervals import Difference
from trifocal.report.contender import Contender
from trifocal.report.found import joined
from trifocal.report.numbers import percent, percentage, signed
from trifocal.report.page import Block, Highlight, Highlights
from trifocal.report.table import Column, Entry, Row, Table, tone_of

PRICES = (0.01, 0.02, 0.04)  # shares of zero-shot accuracy and recall, on average


def equal_cost_blocks(contenders: Sequence[Contender]) -> list[Block]:
    """Return the table of methods by prices, if the curves of several were measured.

    The last one with a curve is compared with the others.
    """
    methods = compared(contenders)
    if len(methods) < 2:
        return []
    chosen = methods[-1]
    rows = []
    for one in methods:
        entries = []
        for price in PRICES:
            value = np.mean([at_price(curve, price) for curve in one.curves])
            found = None if one is chosen else difference(one, chosen, price)
            entries.append(_entry(float(value), found))
        rows.append(Row(one.label, entries, "strong" if one is chosen else ""))
    caption = (
        "Composition, percent right, read off each curve where zero-shot accuracy and retrieval, "
        f"on average, have lost so many points; below it the difference to {chosen.label} with its "
        "95 % interval (questions drawn anew, the same for both; seeds, too, where there are "
        "several), colored where it does not reach zero. A curve that never loses as much is read "
        "at its end."
    )
    columns = [Column(f"at −{100 * price:g} points") for price in PRICES]
    return [Table("At equal cost", "method", columns, rows, caption)]


def equal_cost_highlights(contenders: Sequence[Contender], price: float) -> Highlights:
    """Return the large numbers: the chosen method at a price, and how it differs from each other."""
    *others, chosen = compared(contenders)
    items = []
    for one in others:
        found = difference(chosen, one, price)
        detail = f"{_interval(found)}; at a price of {100 * price:g} points"
        tone = tone_of(found.value, _apart(found), unsure="")
        said = f"{chosen.label} − {one.label}, composition"
        items.append(Highlight(said, f"{signed(100 * found.value)} points", detail, tone))
    return Highlights(items)


def equal_cost_found(contenders: Sequence[Contender], price: float) -> list[str]:
    """Return in sentences how much composition each method has at a price, and who is ahead."""
    methods = compared(contenders)
    *others, chosen = methods
    values = {one.label: np.mean([at_price(c, price) for c in one.curves]) for one in methods}
    told = joined([f"{label} {percentage(float(value))}" for label, value in values.items()])
    sentences = [
        f"Where {100 * price:g} points of zero-shot accuracy and retrieval are lost, on average, "
        f"{told} of the questions on composition are right."
    ]
    for one in others:
        found = difference(chosen, one, price)
        verb = "is not told apart from"
        if _apart(found):
            verb = "is ahead of" if found.value > 0 else "is behind"
        change = f"{signed(100 * found.value)} points, {_interval(found)}"
        sentences.append(f"There {chosen.label} {verb} {one.label} ({change}).")
    return sentences


def resolution(contenders: Sequence[Contender], price: float) -> str:
    """Return in words how small a difference of methods at a price can be seen here."""
    *others, chosen = compared(contenders)
    halves = [difference(chosen, one, price).half for one in others]
    asked = questions(chosen.curves[0][0].rows)[GAINED]
    runs = len(chosen.curves)
    trained = f"{runs} runs" if runs > 1 else "one run"
    return (
        f"With {trained} of each method and {asked:,} questions, differences below "
        f"{100 * max(halves):.1f} points are within noise; half as large ones take four times as "
        "many questions" + (" and runs." if runs > 1 else "; --seeds 3 adds the noise of training.")
    )


def compared(contenders: Sequence[Contender]) -> list[Contender]:
    """Return those whose curves begin at one base, with what is gained and what is kept."""
    found = [one for one in contenders if one.curves and _whole(one.curves[0])]
    return [one for one in found if len(one.curves) == len(found[-1].curves)]


def difference(one: Contender, other: Contender, price: float) -> Difference:
    """Return how much more composition one has than another; no width where marks are missing."""
    points = [point for each in (one, other) for curve in each.curves for point in curve]
    if all(row.marks is not None for point in points for row in point.rows if part_of(row)):
        return difference_at_price(one.curves, other.curves, price)
    means = [np.mean([at_price(c, price) for c in each.curves]) for each in (one, other)]
    value = float(means[0] - means[1])
    return Difference(value, value, value)


def _whole(curve: Curve) -> bool:
    numbers = summarize(curve[0].rows)
    return curve[0].alpha == 0 and "composition" in numbers and len(numbers) > 1


def _entry(value: float, found: Difference | None) -> Entry:
    if found is None:
        return Entry(percent(value))
    tone = tone_of(found.value, _apart(found))
    return Entry(percent(value), signed(100 * found.value), tone, _interval(found))


def _interval(found: Difference) -> str:
    low, high = signed(100 * found.low), signed(100 * found.high)
    return f"95 % interval {low} to {high}"


def _apart(found: Difference) -> bool:
    """Return whether a difference does not reach zero; one without a width tells nothing."""
    return found.low < found.high and not found.low <= 0 <= found.high
