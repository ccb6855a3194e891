"""Small accounts that a run keeps: means between log lines, unreadable pictures, texts cut short."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping

from trifocal.clip.embeddings import TextBatch
from trifocal.data.samples import Skipped
from trifocal.errors import UserError

_LEAST_SEEN = 20


class Window:
    """Means over the steps since the last log line."""

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self.steps, self.samples, self.waited = 0, 0, 0.0
        self.sums: dict[str, float] = {}
        self.begun = time.perf_counter()

    def add(self, values: Mapping[str, float], samples: int, waited: float) -> None:
        """Count one step: its numbers, its pictures, and the seconds it waited for data."""
        self.steps, self.samples, self.waited = (
            self.steps + 1,
            self.samples + samples,
            self.waited + waited,
        )
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value

    def pause(self, seconds: float) -> None:
        """Leave time spent on something else (an evaluation, a checkpoint) out of the speed."""
        self.begun += seconds

    def take(self) -> dict[str, float]:
        """Return the means, samples per second and the share of time waiting; start anew."""
        elapsed = max(time.perf_counter() - self.begun, 1e-9)
        means = {name: value / self.steps for name, value in self.sums.items()}
        means["samples_per_second"] = self.samples / elapsed
        means["waiting"] = self.waited / elapsed
        self._reset()
        return means


class CutTexts:
    """How many of the texts that were learned from are the beginning of a longer one.

    Args:
        cut: How many are.
        texts: Of how many.
    """

    def __init__(self, cut: int = 0, texts: int = 0) -> None:
        self.cut, self.texts = cut, texts

    def add(self, text: TextBatch) -> None:
        """Count the texts of a batch."""
        self.texts += len(text)
        self.cut += 0 if text.cut is None else int(text.cut.sum())

    @property
    def counts(self) -> tuple[int, int]:
        """Both numbers."""
        return self.cut, self.texts

    def __add__(self, other: CutTexts) -> CutTexts:
        return CutTexts(self.cut + other.cut, self.texts + other.texts)

    def __str__(self) -> str:
        return (
            f"{self.cut:,} of {self.texts:,} texts that were learned from are longer than the model "
            "reads, and were cut"
        )


class BadSamples:
    """The distinct samples of `count` that could not be read; more than the share `limit` fails.

    `known` is what was found before the run was interrupted: id to reason.
    """

    def __init__(self, limit: float, count: int, known: Mapping[str, str] | None = None) -> None:
        self.limit, self.count = limit, count
        self.reasons: dict[str, str] = dict(known or {})

    def add(self, found: Iterable[Skipped]) -> list[Skipped]:
        """Remember what was found; return those that are new."""
        new = []
        for item in found:
            if item.id not in self.reasons:
                self.reasons[item.id] = item.reason
                new.append(item)
        return new

    def check(self, drawn: int) -> None:
        """Fail if too many are bad, after `drawn` samples were drawn in all.

        Before all data were seen once, the share is only estimated; the run then fails if it is
        over the limit by more than two standard errors.

        Raises:
            UserError: too many pictures are unreadable.
        """
        bad, seen = len(self.reasons), min(drawn, self.count)
        surely = bad > self.limit * self.count
        likely = seen >= _LEAST_SEEN and bad - 2 * math.sqrt(bad) > self.limit * seen
        if bad and (surely or likely):
            name, reason = next(iter(self.reasons.items()))
            raise UserError(
                f"{bad} of {max(seen, bad)} pictures could not be read, more than the share of "
                f"{self.limit:g} that data.bad_image_share allows; the first is {name} ({reason}), "
                "all are in skipped.jsonl."
            )
