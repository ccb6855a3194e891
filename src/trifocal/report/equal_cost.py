"""Methods at equal cost: what each has gained where all of them have lost as much."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trifocal.evaluate.price import GAINED, Cost, Curve, at_price, difference_at_price, lost
from trifocal.evaluate.summary import part_of, questions, summarize
from trifocal.metrics.intervals import Difference
from trifocal.report.contender import Contender
from trifocal.report.found import joined
from trifocal.report.numbers import percent, percentage, signed
from trifocal.report.page import Block, Highlight, Highlights
from trifocal.report.table import Column, Entry, Row, Table, tone_of

PRICES = (0.01, 0.02, 0.04)  # shares of zero-shot accuracy and recall
_MEANT: dict[Cost, str] = {
    "mean": "zero-shot accuracy and retrieval, on average, have lost",
    "worst": "zero-shot accuracy or retrieval, whichever does first, has lost",
}


class EqualCost:
    """Methods whose curves begin at one base, to be compared where they have lost as much.

    Attributes:
        methods: The contenders with a whole curve; the last one is compared with the others.
        cost: Of what the loss is meant.
    """

    def __init__(self, contenders: Sequence[Contender], cost: Cost = "mean") -> None:
        self.cost: Cost = cost
        found = [one for one in contenders if one.curves and _whole(one.curves[0])]
        self.methods = [one for one in found if len(one.curves) == len(found[-1].curves)]
        self._known: dict[tuple[str, float], Difference] = {}

    @property
    def several(self) -> bool:
        """Whether there is anything to compare."""
        return len(self.methods) > 1

    @property
    def chosen(self) -> Contender:
        """The method that is compared with the others."""
        return self.methods[-1]

    @property
    def others(self) -> list[Contender]:
        """The methods that it is compared with."""
        return self.methods[:-1]

    def value(self, one: Contender, price: float) -> float:
        """Return the composition of a method at a price, a fraction, the mean of its runs."""
        return float(np.mean([at_price(curve, price, self.cost) for curve in one.curves]))

    def reaches(self, one: Contender, price: float) -> bool:
        """Return whether all curves of a method lose as much by their end."""
        return all(lost(curve, self.cost) > price for curve in one.curves)

    def ahead(self, other: Contender, price: float) -> Difference:
        """Return how much more composition the chosen method has than another.

        It has no width where marks are missing. Reckoned once, as it takes most of a second.
        """
        key = (other.label, price)
        if key not in self._known:
            self._known[key] = self._ahead(other, price)
        return self._known[key]

    def _ahead(self, other: Contender, price: float) -> Difference:
        pair = (self.chosen, other)
        points = [point for one in pair for curve in one.curves for point in curve]
        if all(row.marks is not None for point in points for row in point.rows if part_of(row)):
            return difference_at_price(self.chosen.curves, other.curves, price, self.cost)
        value = self.value(self.chosen, price) - self.value(other, price)
        return Difference(value, value, value)


def equal_cost_blocks(equal: EqualCost) -> list[Block]:
    """Return the table of methods by prices, if the curves of several were measured."""
    if not equal.several:
        return []
    rows = []
    for one in equal.methods:
        chosen = one is equal.chosen
        entries = [
            _entry(equal.value(one, price), None if chosen else _turned(equal.ahead(one, price)))
            for price in PRICES
        ]
        rows.append(Row(one.label, entries, "strong" if chosen else ""))
    caption = (
        f"Composition, percent right, read off each curve where {_MEANT[equal.cost]} so many "
        f"points; below it the difference to {equal.chosen.label} with its 95 % interval (questions "
        "drawn anew, the same for both; seeds, too, where there are several), colored where it does "
        "not reach zero. A curve that never loses as much is read at its end."
    )
    columns = [Column(f"at −{100 * price:g} points") for price in PRICES]
    return [Table("At equal cost", "method", columns, rows, caption)]


def equal_cost_highlights(equal: EqualCost, price: float) -> Highlights:
    """Return the large numbers: how the chosen method differs from each other at a price."""
    items = []
    for one in equal.others:
        found = equal.ahead(one, price)
        detail = f"{_interval(found)}; at a price of {100 * price:g} points"
        tone = tone_of(found.value, _apart(found), unsure="")
        said = f"{equal.chosen.label} − {one.label}, composition"
        items.append(Highlight(said, f"{signed(100 * found.value)} points", detail, tone))
    return Highlights(items)


def equal_cost_found(equal: EqualCost, price: float) -> list[str]:
    """Return in sentences how much composition each method has at a price, and who is ahead."""
    values = {one.label: percentage(equal.value(one, price)) for one in equal.methods}
    short = {one.label for one in equal.methods if not equal.reaches(one, price)}
    told = joined(
        [f"{at}: {value}{' (at its end)' if at in short else ''}" for at, value in values.items()]
    )
    start = percentage(summarize(equal.chosen.curves[0][0].rows)[GAINED])
    sentences = [
        f"Composition where {_MEANT[equal.cost]} {100 * price:g} points against the base ({start}): "
        f"{told}."
    ]
    for one in equal.others:
        found = equal.ahead(one, price)
        verb = "is not told apart from"
        if _apart(found):
            verb = "is ahead of" if found.value > 0 else "is behind"
        change = f"{signed(100 * found.value)} points, {_interval(found)}"
        sentences.append(f"There {equal.chosen.label} {verb} {one.label} ({change}).")
    return sentences


def resolution(equal: EqualCost, price: float) -> str:
    """Return in words how small a difference of methods at a price can be seen here."""
    half = max(equal.ahead(one, price).half for one in equal.others)
    asked = questions(equal.chosen.curves[0][0].rows)[GAINED]
    runs = len(equal.chosen.curves)
    trained, more = ("one run", "; --seeds 3 adds the noise of training.")
    if runs > 1:
        trained, more = (f"{runs} runs", " and runs.")
    return (
        f"With {trained} of each method and {asked:,} questions, differences below about "
        f"{100 * half:.1f} points are within noise; half as large ones take four times as many "
        f"questions{more}"
    )


def _turned(found: Difference) -> Difference:
    """Return a difference seen from the other side."""
    return Difference(-found.value, -found.high, -found.low, found.p)


def _whole(curve: Curve) -> bool:
    numbers = summarize(curve[0].rows)
    return curve[0].alpha == 0 and GAINED in numbers and len(numbers) > 1


def _entry(value: float, found: Difference | None) -> Entry:
    if found is None:
        return Entry(percent(value))
    tone = tone_of(found.value, _apart(found))
    change = signed(100 * found.value)
    if found.low < found.high:
        change += f" ({signed(100 * found.low)} to {signed(100 * found.high)})"
    return Entry(percent(value), change, tone)


def _interval(found: Difference) -> str:
    low, high = signed(100 * found.low), signed(100 * found.high)
    return f"95 % interval {low} to {high}"


def _apart(found: Difference) -> bool:
    """Return whether a difference does not reach zero; one without a width tells nothing."""
    return found.low < found.high and not found.low <= 0 <= found.high
