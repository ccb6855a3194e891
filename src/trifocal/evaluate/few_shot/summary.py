"""Few-shot results as numbers: means over seeds, shots and data sets, with 95 % intervals.

Where there are several seeds an interval is Student's over seeds: how much the draw of the
support matters. With one draw it is Wilson's over the test questions. An average is given only
where none of its parts is missing, since averages over different data sets cannot be compared.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from trifocal.concepts.tasks.base_to_new import Averages, averages
from trifocal.errors import UserError, nearest
from trifocal.evaluate.few_shot.rows import (
    ACC,
    BASE,
    FIT,
    NEW,
    PARAMETERS,
    PREDICT,
    TEST,
    Measured,
    Place,
)
from trifocal.metrics.intervals import Interval, over_seeds, wilson
from trifocal.metrics.result import Result

Runs = Mapping[int | None, Result]  # by seed


@dataclass(frozen=True)
class Costs:
    """What a method takes, averaged over seeds."""

    parameters: tuple[int, int]  # fewest and most trained numbers over the data sets
    fit: float  # seconds of one fit, averaged over data sets
    predict: float  # seconds for a thousand test pictures, without the backbone


class Summary:
    """Numbers of few-shot rows.

    Attributes:
        methods: Names in order of appearance.
        datasets: As many.
        shots: In increasing order.
    """

    def __init__(self, measured: Iterable[Measured]) -> None:
        self.measured = list(measured)
        self._runs: dict[tuple[str, Place, str], dict[int | None, Result]] = {}
        for one in self.measured:
            runs = self._runs.setdefault((one.method, one.place, one.row.metric), {})
            runs[one.row.seed] = one.row
        self.methods = list(dict.fromkeys(one.method for one in self.measured))
        self.datasets = list(dict.fromkeys(one.place.dataset for one in self.measured))
        self.shots = sorted({one.place.shots for one in self.measured})

    def runs(self, method: str, place: Place, metric: str = ACC) -> Runs:
        """Return the rows of one measure by seed."""
        return self._runs.get((method, place, metric), {})

    def having(self, *tests: str) -> list[str]:
        """Return the data sets that have all of these tests."""
        found = {(one.place.dataset, one.place.test) for one in self.measured}
        return [name for name in self.datasets if all((name, test) in found for test in tests)]

    def domains(self, dataset: str) -> list[str]:
        """Return the shifted domains that a data set is tested on."""
        tests = dict.fromkeys(o.place.test for o in self.measured if o.place.dataset == dataset)
        return [test for test in tests if test not in (TEST, BASE, NEW)]

    def most_shots(self, test: str, dataset: str | None = None) -> int:
        """Return the largest number of shots at which there is such a test."""
        places = [one.place for one in self.measured]
        return max(p.shots for p in places if p.test == test and dataset in (None, p.dataset))

    def seeds(self) -> int:
        """Return the largest number of seeds behind a number."""
        return max((len(runs) for runs in self._runs.values()), default=0)

    def mean(
        self,
        method: str,
        datasets: Sequence[str],
        shots: Sequence[int],
        test: str = TEST,
        metric: str = ACC,
    ) -> Interval | None:
        """Return the mean over data sets and shots; None where a part of it is missing."""
        parts = [
            [self.runs(method, Place(dataset, count, test), metric) for count in shots]
            for dataset in datasets
        ]
        flat = [runs for part in parts for runs in part]
        if not flat or not all(flat):
            return None
        seeds = flat[0].keys()
        if len(seeds) > 1 and all(runs.keys() == seeds for runs in flat):
            return over_seeds([_mean(runs[seed].value for runs in flat) for seed in seeds])
        inner = [[_over_runs(runs) for runs in part] for part in parts]
        value = _mean(_mean(one.value for one in part) for part in inner)
        # Shots share their test questions, data sets do not.
        halves = [_mean(one.half for one in part) for part in inner]
        half = math.hypot(*halves) / len(halves)
        if len(flat) == 1:
            return inner[0][0]
        return Interval(value, value - half, value + half)

    def base_to_new(self, method: str, datasets: Sequence[str], shots: int) -> Averages | None:
        """Return accuracies on old and new classes, averaged over data sets."""
        pairs = []
        for dataset in datasets:
            base = self.mean(method, [dataset], [shots], BASE)
            new = self.mean(method, [dataset], [shots], NEW)
            if base is None or new is None:
                return None
            pairs.append((base.value, new.value))
        return averages(pairs)

    def costs(self, method: str, shots: int) -> Costs | None:
        """Return what a method takes at a number of shots; None where nothing is known."""
        parameters, fits, predictions = [], [], []
        for (name, place, metric), runs in self._runs.items():
            if name != method or place.shots != shots:
                continue
            values = [row.value for row in runs.values()]
            if metric == PARAMETERS:
                parameters.append(round(_mean(values)))
            elif metric == FIT:
                fits.append(_mean(values))
            elif metric == PREDICT:
                predictions.append(_mean(1000 * row.value / row.n for row in runs.values()))
        if not parameters or not fits or not predictions:
            return None
        return Costs((min(parameters), max(parameters)), _mean(fits), _mean(predictions))


def reference_of(methods: Sequence[str], wished: str | None = None) -> str:
    """Return the method that others are compared with: the wished one, else the concept map, else the first.

    A method with something added to its name ("concept-map (val: full)") also goes by its bare name.

    Raises:
        UserError: There is no method of the wished name.
    """
    name = wished or "concept-map"
    for method in methods:
        if method == name or method.startswith((f"{name} (", f"{name}(")):
            return method
    if wished is not None:
        raise UserError(
            f"no results of {wished!r} to compare with.{nearest(wished, methods)} "
            f"There are: {', '.join(methods)}"
        )
    return methods[0]


def _over_runs(runs: Runs) -> Interval:
    rows = list(runs.values())
    if len(rows) > 1:
        return over_seeds([row.value for row in rows])
    return wilson(rows[0].value, rows[0].n)


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return sum(listed) / len(listed)
