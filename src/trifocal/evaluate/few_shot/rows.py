"""How a few-shot result is written into a results file, and what of it can be compared.

A row's benchmark is "few_shot/<data set>", its task "<shots>-shot", with the name of the test
behind it where that is not the data set's own ("16-shot sketch"). The protocol is a list of
"name: value", so that a reader can check it and a table can see where two rows differ.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from trifocal.concepts.tasks.task import ValMode
from trifocal.metrics.result import Result

NAME = "few_shot"
TEST, BASE, NEW = "test", "base", "new"  # names of tests; any other is a shifted domain
ACC, RECALL = "acc1", "mean_per_class_recall"
# Expected calibration error of the logits as they are, and of the head's probabilities.
ECE_BEFORE, ECE = "ece_uncalibrated", "ece"
PARAMETERS, FIT, PREDICT = "trainable_parameters", "fit_seconds", "predict_seconds"

_VAL_WORDS: dict[ValMode, str] = {
    "none": "none",
    "few": "few (min(shots, 4) a class)",
    "full": "full",
}
_VAL_CLASS = re.compile(r" \(min\(shots, 4\) a class\)")  # goes without saying in a name
# What belongs to one method; the other parts are meant to be the same for all methods.
_OWN_PARTS = ("concepts", "selection", "version")


@dataclass(frozen=True)
class Place:
    """What a row is of, read from its benchmark and task."""

    dataset: str
    shots: int
    test: str = TEST

    @property
    def benchmark(self) -> str:
        """The row's `benchmark`."""
        return f"{NAME}/{self.dataset}"

    @property
    def task(self) -> str:
        """The row's `task`."""
        return f"{self.shots}-shot" if self.test == TEST else f"{self.shots}-shot {self.test}"


def place_of(row: Result) -> Place | None:
    """Return what a row is of, or None where it is no few-shot result."""
    kind, _, dataset = row.benchmark.partition("/")
    found = re.fullmatch(r"(\d+)-shot(?: (.+))?", row.task)
    if kind != NAME or not dataset or found is None:
        return None
    return Place(dataset, int(found[1]), found[2] or TEST)


def protocol_text(
    val_mode: ValMode,
    views: int,
    backbone: str,
    prompts: Sequence[str] = (),
    *,
    val_from: str = "val",
    concepts: int | None = None,
    selects: bool = False,
) -> str:
    """Return the protocol of a row.

    `views` are the random ones of each support picture, 0 for the one that is tested on;
    `val_from` is "train" where the few validation pictures were drawn from the training ones;
    `selects` says whether the method selected anything on the validation pictures.
    """
    few_of_train = val_mode == "few" and val_from == "train"
    parts = {
        "val": _VAL_WORDS[val_mode] + (" of train" if few_of_train else ""),
        "views": str(views or "as tested"),
        "backbone": backbone or "unknown",
        "prompts": " | ".join(prompts) or "as given",
    }
    if concepts is not None:
        parts["concepts"] = str(concepts)
    parts["selection"] = "on validation" if selects else "on support alone"
    return "; ".join(f"{name}: {value.replace('; ', ', ')}" for name, value in parts.items())


def protocol_parts(row: Result) -> dict[str, str]:
    """Return the named parts of a row's protocol, and the version of the measurement."""
    pairs = (part.partition(": ") for part in row.protocol.split("; "))
    parts = {name: value for name, _, value in pairs}
    return {**parts, "version": row.version.partition("@")[0]}


def identity(row: Result) -> tuple[str | int | None, ...]:
    """Return all that a measurement depends on: two rows with it are the same measurement."""
    return (
        row.benchmark, row.task, row.metric, row.model, row.seed, row.protocol, row.version,
    )  # fmt: skip


@dataclass(frozen=True)
class Measured:
    """A row, what it is of, and its method as tables name it."""

    row: Result
    place: Place
    method: str


def told_apart(rows: Iterable[Result]) -> list[Measured]:
    """Return the few-shot rows, each measurement once, methods named by what sets them apart.

    Rows of other benchmarks are left out. Of the same measurement made twice the later counts.
    Where rows of one data set differ in their protocol, the parts that differ are added to the
    names of their methods, so that results of two protocols are never averaged: "tip-adapter
    (val: full)".
    """
    kept = list({identity(row): row for row in rows}.values())
    placed = [(row, place) for row in kept if (place := place_of(row)) is not None]
    general: dict[tuple[str, str], set[str]] = defaultdict(set)
    own: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for row, place in placed:
        for name, value in protocol_parts(row).items():
            if name in _OWN_PARTS:
                own[row.model, place.dataset, name].add(value)
            else:
                general[place.dataset, name].add(value)
    everywhere = {name for (_, name), values in general.items() if len(values) > 1}
    of_model = {(model, name) for (model, _, name), values in own.items() if len(values) > 1}
    measured = []
    for row, place in placed:
        differing = [
            f"{name}: {_VAL_CLASS.sub('', value)}"
            for name, value in protocol_parts(row).items()
            if name in everywhere or (row.model, name) in of_model
        ]
        method = f"{row.model} ({', '.join(differing)})" if differing else row.model
        measured.append(Measured(row, place, method))
    return measured
