"""One row of a results file: what was measured, on what, how, and by which code.

The metric names are the field's (CLIP_benchmark, SugarCrepe, Winoground), so that a table made
here can stand beside a published one. Accuracies and recalls are fractions in [0, 1].
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from trifocal.version import __version__

if TYPE_CHECKING:
    from torch import Tensor

# Mean ranks (Sherlock's im2txt and txt2im) count places from 1, and a smaller one is better.
RANK_METRICS = frozenset({"im2txt", "txt2im", "mean_rank"})
# What a method takes; here, too, a smaller value is better, and it is no fraction.
COST_METRICS = frozenset({"trainable_parameters", "fit_seconds", "predict_seconds"})
# Fields that a results file does not hold.
IN_MEMORY = ("marks", "scores")


def task_version(number: int) -> str:
    """Return the `version` of a row: the benchmark's own version at the toolkit's version.

    A benchmark raises its number whenever the same model would get another value; rows with
    different numbers must not be compared.
    """
    return f"{number}@{__version__}"


def model_name(model: object) -> str:
    """Return the name under which a model's results are filed."""
    for holder in (model, getattr(model, "clip", None)):
        name = getattr(holder, "name", None)
        if isinstance(name, str) and name:
            return name
    return type(model).__name__


@dataclass(frozen=True)
class Result:
    """One measured number."""

    benchmark: str  # name of the benchmark, e.g. "sugarcrepe"
    task: str  # the part of it that was scored, e.g. "swap_obj", or "zeroshot_retrieval"
    metric: str  # the field's name of the measure, e.g. "acc1"
    # A fraction for accuracies and recalls, a place for mean ranks, an amount for costs.
    value: float
    n: int  # how many questions stand behind it
    chance: float | None = None  # what guessing scores, or None where that is not defined
    seed: int | None = None  # seed of whatever was drawn at random, or None where nothing was
    protocol: str = ""  # how it was measured, in words a reader can check
    model: str = ""  # name of the model
    seconds: float = 0.0  # wall time of the benchmark the row belongs to
    version: str = task_version(1)  # see `task_version`
    # What became of the entries of its data: read, used, left out by reason; None where all are
    # made or listed by the benchmark itself.
    account: dict[str, Any] | None = field(default=None, hash=False)
    # How many of the questions hang on equal scores; None where nobody counted.
    ties: int | None = None
    # Digest of the questions: rows that have the same were measured on the same ones. Empty where
    # nobody took it.
    asked: str = ""
    # What the same model scores where it does not see the pictures: each of them is the mean of
    # all. None where that was not asked, or has no meaning.
    blind: float | None = None
    # (n,) float64, what each question adds to `value`, which is their mean; in memory only, for
    # the benchmarks that keep it. Models can then be compared question by question.
    marks: Tensor | None = field(default=None, compare=False, repr=False)
    # (N, I, T) cosines of the pictures and texts of all N questions of the benchmark; in memory only,
    # for those that ask about a few of each. A reader can then see what was preferred.
    scores: Tensor | None = field(default=None, compare=False, repr=False)

    @property
    def key(self) -> tuple[str, str, str]:
        """What the number is of: rows of two models with the same key can be compared."""
        return (self.benchmark, self.task, self.metric)

    @property
    def is_rank(self) -> bool:
        """Whether the value is a mean rank or a cost (smaller is better) and not a fraction."""
        return self.metric in RANK_METRICS or self.metric in COST_METRICS

    def shown(self) -> str:
        """Return the value as tables print it: percent with one decimal, or the mean rank.

        A value below 0, as an agreement can have, has a minus sign.
        """
        shown = f"{self.value:.2f}" if self.is_rank else f"{100 * self.value:.1f}"
        return shown.replace("-", "−")

    def gain_over(self, other: Result) -> float:
        """Return how much better than `other` this is: points, or places for mean ranks."""
        if self.is_rank:
            return other.value - self.value
        return 100 * (self.value - other.value)

    def of(self, model: str) -> Result:
        """Return the row under another model's name."""
        return replace(self, model=model)

    def as_dict(self) -> dict[str, Any]:
        """Return the row as the plain mapping that a results file holds.

        What not every benchmark counts stands in it only where it was counted.
        """
        absent = {name for name in ("account", "ties", "blind") if getattr(self, name) is None}
        absent |= set() if self.asked else {"asked"}
        names = [one.name for one in fields(self) if one.name not in {*IN_MEMORY, *absent}]
        return {name: getattr(self, name) for name in names}
