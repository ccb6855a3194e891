"""What a page says on top: what was found, in one to three sentences, from rows with their intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from trifocal.metrics.intervals import Interval
from trifocal.report.comparison import Cell, beyond_noise, compare, entry_of, measure_of
from trifocal.report.contender import SUMMARY_NAMES, Contender
from trifocal.report.numbers import percentage, signed

COMPOSITION = "composition"
COSTS = tuple(name for name in SUMMARY_NAMES if name != COMPOSITION)
_FEW = 3  # measures that are told one by one


@dataclass(frozen=True)
class Change:
    """How a number of a model differs from the base's, in points.

    Attributes:
        name: What the number is.
        before, after: Both, in percent.
        half: Half of the difference's 95 % interval, as if the two were independent.
        sure: Whether the difference is more than that.
    """

    name: str
    before: float
    after: float
    half: float
    sure: bool

    @property
    def value(self) -> float:
        """The difference."""
        return self.after - self.before

    def told(self) -> str:
        """Return it in words: "zero-shot −0.4 ± 1.2 points"."""
        return f"{self.name} {signed(self.value)} ± {self.half:.1f}"


def summary_changes(base: Contender, chosen: Contender) -> dict[str, Change]:
    """Return how each number of the summary that both have differs."""
    before, after = base.summary(), chosen.summary()
    return {
        name: change(label, before[name], after[name])
        for name, label in SUMMARY_NAMES.items()
        if name in before and name in after
    }


def change(name: str, before: Interval, after: Interval) -> Change:
    """Return the difference of two numbers in percent."""
    half = math.hypot(before.half, after.half)
    return Change(name, before.value, after.value, half, beyond_noise(after, before))


def found(contenders: Sequence[Contender], chosen: Contender) -> list[str]:
    """Return what a comparison found about one of the models; the base comes first."""
    base = contenders[0]
    if chosen is base:
        return [_alone(base)] if base.rows else []
    changes = summary_changes(base, chosen)
    if COMPOSITION not in changes:
        return [_counted(contenders, chosen)]
    others = [one for one in contenders if one not in (base, chosen)]
    told = [_gained(base, chosen, changes[COMPOSITION]), _paid(changes)]
    return [*told, *_apart(chosen, others)]


def noise(changes: Sequence[Change]) -> str:
    """Return changes in words, those beyond noise first."""
    parts = []
    for sure, words in ((True, "more than noise"), (False, "within noise")):
        some = [one.told() for one in changes if one.sure == sure]
        if some:
            parts.append(f"{joined(some)} points ({words})")
    return "; ".join(parts)


def joined(words: Sequence[str]) -> str:
    """Return "a", "a and b", "a, b and c"."""
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


def _gained(base: Contender, chosen: Contender, one: Change) -> str:
    start, end = percentage(one.before / 100), percentage(one.after / 100)
    if not one.sure:
        return (
            f"In composition {chosen.label} ({end}) is not told apart from {base.label} ({start}): "
            f"{signed(one.value)} ± {one.half:.1f} points."
        )
    verb = "gains" if one.value > 0 else "loses"
    return (
        f"{chosen.label} {verb} {abs(one.value):.1f} ± {one.half:.1f} points of composition against "
        f"{base.label} ({start} → {end})."
    )


def _paid(changes: Mapping[str, Change]) -> str:
    costs = [changes[name] for name in COSTS if name in changes]
    if not costs:
        return "What that costs elsewhere was not measured."
    lost = any(one.sure and one.value < 0 for one in costs)
    return f"{'What it costs' if lost else 'What it could have cost'}: {noise(costs)}."


def _apart(chosen: Contender, others: Sequence[Contender]) -> list[str]:
    """Return how the others differ from the chosen model in composition."""
    against = {
        one.label: changes[COMPOSITION]
        for one in others
        if COMPOSITION in (changes := summary_changes(one, chosen))
    }
    groups = {
        "is ahead of": [label for label, one in against.items() if one.sure and one.value > 0],
        "is behind": [label for label, one in against.items() if one.sure and one.value < 0],
        "is not told apart from": [label for label, one in against.items() if not one.sure],
    }
    parts = [f"{words} {joined(labels)}" for words, labels in groups.items() if labels]
    return [f"In composition it {joined(parts)}."] if parts else []


def _counted(contenders: Sequence[Contender], chosen: Contender) -> str:
    """Return on how many measures a model is better or worse than the base."""
    base = contenders[0]
    cells = [
        by_model[chosen.label]
        for by_model in compare([*base.rows, *chosen.rows], base.label).values()
        if chosen.label in by_model and base.label in by_model
    ]
    if not cells:
        return f"{chosen.label} and {base.label} have no measure in common."
    better, worse = (
        sum(cell.beyond_noise and sign * (cell.gain or 0) > 0 for cell in cells) for sign in (1, -1)
    )
    return counted_text(chosen.label, base.label, len(cells), better, worse)


def counted_text(after: str, before: str, count: int, better: int, worse: int) -> str:
    """Return in a sentence on how many of so many measures one is better or worse than another."""
    rest = count - better - worse
    if rest == count:
        them = f"any of the {count} measures" if count > 1 else "the one measure"
        return f"{after} does not differ from {before} on {them} by more than noise."
    ending = f" On {rest} the difference is within noise." if rest else ""
    measures = f"{count} measure{'s' if count > 1 else ''}"
    return (
        f"Of {measures} {after} is better than {before} on {better} and worse on {worse}, by more "
        f"than noise.{ending}"
    )


def _alone(one: Contender) -> str:
    """Return the numbers of a model that is compared with nothing."""
    summary = one.summary()
    told = [
        f"{label} {summary[name].value:.1f} ± {summary[name].half:.1f} %"
        for name, label in SUMMARY_NAMES.items()
        if name in summary
    ]
    if not told:
        cells: list[Cell] = [by_model[one.label] for by_model in compare(one.rows).values()]
        told = [
            f"{cell.row.benchmark} {measure_of(cell.row)} {entry_of(cell).value}"
            for cell in cells[:_FEW]
        ]
    return f"{one.label}: {joined(told)}; there is no other model to compare it with."
