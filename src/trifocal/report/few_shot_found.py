"""What a few-shot report says on top: how the featured method does, and which others it is apart from."""

from __future__ import annotations

from collections.abc import Sequence

from trifocal.evaluate.few_shot.pairs import Answers
from trifocal.evaluate.few_shot.rows import TEST
from trifocal.evaluate.few_shot.summary import Summary
from trifocal.metrics.intervals import Difference
from trifocal.report.few_shot_tables import is_sure, listed
from trifocal.report.found import joined
from trifocal.report.numbers import percentage, shots_text, signed

ZERO_SHOT = "zero-shot"


def found(summary: Summary, answers: Answers, datasets: Sequence[str], reference: str) -> list[str]:
    """Return it in one to three sentences, from accuracies and paired differences.

    Args:
        summary: The results.
        answers: Which questions were answered rightly.
        datasets: The data sets that are averaged.
        reference: The featured method.
    """
    whole = summary.mean(reference, datasets, summary.shots) if datasets else None
    if whole is None:
        return []
    on = listed(datasets)
    over = (
        f", averaged over {joined([*map(str, summary.shots)])} shots" if summary.shots[1:] else ""
    )
    at = "" if over else f" at {shots_text(summary.shots[0])}"
    told = [
        f"{reference} is right on {percentage(whole.value)} of the test pictures of {on}{at}{over}."
    ]
    if reference != ZERO_SHOT and ZERO_SHOT in summary.methods:
        gain = answers.difference(reference, ZERO_SHOT, datasets, summary.shots, TEST)
        told += [] if gain is None else [_over_zero_shot(gain)]
    others = [name for name in summary.methods if name not in (reference, ZERO_SHOT)]
    differences = {
        name: found
        for name in others
        if (found := answers.difference(reference, name, datasets, summary.shots, TEST)) is not None
    }
    turned = {
        name: shots
        for name, one in differences.items()
        if (shots := _turned(one, answers, reference, name, datasets, summary.shots))
    }
    return [*told, *apart(differences), *_otherwise(turned)]


def apart(differences: dict[str, Difference]) -> list[str]:
    """Return which other methods it is ahead of, behind, or not told apart from; "it" goes before."""
    sure = {name: one for name, one in differences.items() if is_sure(one)}
    groups = {
        "ahead of": [name for name, one in sure.items() if one.value > 0],
        "behind": [name for name, one in sure.items() if one.value < 0],
        "not told apart from": [name for name in differences if name not in sure],
    }
    parts = [
        f"{words} {joined([_with(name, differences[name]) for name in names])}"
        for words, names in groups.items()
        if names
    ]
    return [f"On the same pictures it is {'; '.join(parts)}."] if parts else []


def _with(name: str, one: Difference) -> str:
    return f"{name} ({signed(100 * one.value)} ± {100 * one.half:.1f} points)"


def _turned(
    whole: Difference,
    answers: Answers,
    reference: str,
    other: str,
    datasets: Sequence[str],
    shots: Sequence[int],
) -> list[int]:
    """Return at which numbers of shots the other is ahead where it is not over all, or behind."""
    found = {one: answers.difference(reference, other, datasets, [one], TEST) for one in shots}
    return [
        count
        for count, one in found.items()
        if one is not None and is_sure(one) and one.value * whole.value < 0
    ]


def _otherwise(turned: dict[str, list[int]]) -> list[str]:
    """Return for which methods the order is the other way round at some numbers of shots."""
    told = [
        f"{name} at {joined([*map(str, shots)])} shot{'s' if shots != [1] else ''}"
        for name, shots in turned.items()
    ]
    return [f"It is the other way round against {joined(told)}."] if told else []


def _over_zero_shot(gain: Difference) -> str:
    half = f"{100 * gain.half:.1f}"
    if not is_sure(gain):
        told = f"{signed(100 * gain.value)} ± {half} points"
        return f"Against zero-shot, on the same pictures, that is no more than noise: {told}."
    more = "more" if gain.value > 0 else "less"
    return f"That is {abs(100 * gain.value):.1f} ± {half} points {more} than zero-shot."
