"""Two results files question by question: which differences are noise, and which are not.

The difference of two models on the same questions has an interval by the paired bootstrap (Efron,
1979). Its p-value is the bootstrap's, and where each question is right or wrong at least that of the
exact sign test, since the bootstrap is too sure of a few questions. Of many differences a few look
large by chance, so p-values are corrected for their number (Holm, Scandinavian Journal of Statistics
1979).
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import special

from trifocal.errors import UserError
from trifocal.evaluate.marks import read_marks
from trifocal.evaluate.records import read_results
from trifocal.metrics.intervals import Difference, paired_bootstrap
from trifocal.metrics.result import Result

Results = str | os.PathLike[str]
MOST_P = 0.05  # above it a difference counts as noise


@dataclass(frozen=True)
class Compared:
    """One measure of two models.

    Attributes:
        before, after: Their rows.
        difference: `after` less `before`, with its interval; None where the questions are not known
            to be the same, or what each added was not kept.
        why: Why there is none.
        p: The p-value, corrected for the number of measures that were compared.
    """

    before: Result
    after: Result
    difference: Difference | None = None
    why: str = ""
    p: float = 1.0

    @property
    def real(self) -> bool:
        """Whether the difference is more than noise."""
        return self.difference is not None and self.p <= MOST_P

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON output holds it."""
        told = {"before": self.before.as_dict(), "after": self.after.as_dict()}
        if self.difference is None:
            return {**told, "difference": None, "why": self.why}
        one = self.difference
        told |= {"difference": {"value": one.value, "low": one.low, "high": one.high, "p": one.p}}
        return {**told, "corrected_p": self.p, "more_than_noise": self.real}

    @property
    def gain(self) -> float:
        """How much better the second is: more, or of mean ranks less."""
        value = 0.0 if self.difference is None else self.difference.value
        return -value if self.before.is_rank else value


def compare_files(
    before: Results, after: Results, models: tuple[str | None, str | None] = (None, None)
) -> list[Compared]:
    """Compare one model of each of two results files, on the measures that both have.

    Args:
        before, after: Results files; both may be the same file.
        models: Which model of each; by default the only one, in one file the first and the last,
            and of `after` the only one that is not compared with.

    Raises:
        UserError: A model is not there or not named where there are several, or no measure is
            common.
    """
    same = os.path.realpath(before) == os.path.realpath(after)
    ours = _of_model(before, models[0], 0 if same else None)
    known = () if same else {row.model for row in ours.values()}
    theirs = _of_model(after, models[1], -1 if same else None, known)
    common = [key for key in ours if key in theirs]
    if not common:
        raise UserError(f"{before} and {after} have no measure in common; score both alike first.")
    found = [_compare(before, ours[key], after, theirs[key]) for key in common]
    return _corrected(found)


def holm(p: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number."""
    order = np.argsort(np.asarray(p), kind="stable")
    corrected, so_far = [0.0] * len(p), 0.0
    for place, number in enumerate(order):
        so_far = max(so_far, (len(p) - place) * p[number])
        corrected[number] = min(1.0, so_far)
    return corrected


def sign_test(better: int, worse: int) -> float:
    """Return the exact two-sided p-value of so many questions won and lost (McNemar, 1947).

    Args:
        better, worse: Questions that only the one and only the other model answers rightly.
    """
    return min(1.0, 2 * float(special.bdtr(min(better, worse), better + worse, 0.5)))


def _of_model(
    path: Results, model: str | None, which: int | None, known: Collection[str] = ()
) -> dict[tuple, Result]:
    rows = read_results(path)
    names = list(dict.fromkeys(row.model for row in rows))
    new = [name for name in names if name not in known]
    if model is None and which is None and len(new) == 1:
        model = new[0]
    if model is None and names and (len(names) == 1 or which is not None):
        model = names[which or 0]
    if not names:
        raise UserError(f"{path} holds no rows; let `trifocal eval` write some.")
    if model not in names:
        asked = f"has no model {model!r}" if model is not None else "has several models"
        raise UserError(f"{path} {asked}; name one of {', '.join(names)} with models=.")
    return {(*row.key, row.seed): row for row in rows if row.model == model}


def _compare(before: Results, one: Result, after: Results, other: Result) -> Compared:
    made = Compared(one, other)
    if one.version.partition("@")[0] != other.version.partition("@")[0]:
        return replace(made, why="other version")
    if one.n != other.n or one.asked != other.asked or one.chance != other.chance:
        return replace(made, why="other questions")
    ours, theirs = read_marks(before, one), read_marks(after, other)
    if ours is None or theirs is None:
        return replace(made, why="answers not kept")
    differing = int((ours != theirs).sum())
    if not differing:
        return replace(made, difference=Difference(0.0, 0.0, 0.0, 1.0))
    found = paired_bootstrap(theirs, ours)
    # Drawing a few questions again knows no others: no p is below what the sign test can reach.
    least = 2.0 ** (1 - differing)
    if set(np.unique(theirs - ours)) <= {-1.0, 0.0, 1.0}:
        least = sign_test(int((theirs > ours).sum()), int((theirs < ours).sum()))
    return replace(made, difference=replace(found, p=max(found.p, least)))


def _corrected(found: Sequence[Compared]) -> list[Compared]:
    differences = [one.difference for one in found if one.difference is not None]
    p = iter(holm([one.p for one in differences]))
    return [one if one.difference is None else replace(one, p=next(p)) for one in found]
