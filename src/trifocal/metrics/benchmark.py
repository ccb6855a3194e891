"""What a benchmark is: a name, where its data come from, and three steps from data to results.

A benchmark is any object with these members; no base class is needed. Options (where the pictures
are, how many items) are arguments of its constructor, so that `check`, `items` and `score` need
only the folder and the model.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from trifocal.errors import UserError
from trifocal.metrics.result import Result, task_version
from trifocal.progress import Progress

if TYPE_CHECKING:
    from torch import Tensor

    from trifocal.clip.encoder import Encoder


@dataclass(frozen=True)
class Missing:
    """Data that a benchmark needs and does not find."""

    path: str  # where it was looked for
    remedy: str  # what to put there and where to get it, as a sentence
    count: int = 1  # how many files are meant, if `path` is only the first of them

    def __str__(self) -> str:
        return _sentence([self.path], self.count - 1, self.remedy)


@runtime_checkable
class Benchmark(Protocol):
    """A test with a name that files scores of a model.

    `source` says in one line where the data come from and under which licence.
    """

    name: str
    source: str

    def check(self, root: str | Path) -> list[Missing]:
        """Return what is missing under `root`; empty if the benchmark can run."""
        ...

    def items(self, root: str | Path) -> Any:
        """Read the questions. Raises `UserError` where files are missing or malformed."""
        ...

    def score(
        self, model: Encoder, items: Any, *, progress: Progress | None = None
    ) -> list[Result]:
        """Score a model; one row for each number."""
        ...


def require(missing: Sequence[Missing], name: str) -> None:
    """Raise a `UserError` that names what a benchmark lacks.

    Raises:
        UserError: If anything is missing.
    """
    if not missing:
        return
    by_remedy: dict[str, list[Missing]] = {}
    for entry in missing:
        by_remedy.setdefault(entry.remedy, []).append(entry)
    sentences = []
    for remedy, same in by_remedy.items():
        named = [entry.path for entry in same[:2]]
        sentences.append(_sentence(named, sum(e.count for e in same) - len(named), remedy))
    raise UserError(f"{name} cannot run; " + "; ".join(sentences))


def _sentence(paths: Sequence[str], more: int, remedy: str) -> str:
    """Say that some paths, and so many more, are missing, and what to do."""
    rest = f" and {more} more" if more else ""
    verb = "is" if len(paths) + more == 1 else "are"
    return f"{', '.join(paths)}{rest} {verb} missing: {remedy}"


@dataclass
class Sheet:
    """Collects the rows of one benchmark run, so that what they share is said once."""

    benchmark: str
    model: str
    protocol: str  # how it was measured
    seed: int | None = None  # seed of what was drawn, if anything
    version: int = 1  # the benchmark's own version number
    account: dict[str, Any] | None = None  # what became of the entries of its data
    asked: str = ""  # digest of the questions (see `digest_of`)
    scores: Tensor | None = None  # cosines of all questions (see `Result`)
    rows: list[Result] = field(default_factory=list)
    _start: float = field(default_factory=time.perf_counter)

    def add(
        self,
        task: str,
        metric: str,
        value: float,
        n: int,
        chance: float | None = None,
        ties: int | None = None,
        marks: Tensor | None = None,
        blind: float | None = None,
    ) -> Result:
        """Append a row (see `Result`)."""
        row = Result(
            benchmark=self.benchmark,
            task=task,
            metric=metric,
            value=float(value),
            n=n,
            chance=chance,
            seed=self.seed,
            protocol=self.protocol,
            model=self.model,
            version=task_version(self.version),
            account=self.account,
            ties=ties,
            marks=marks,
            blind=blind,
            asked=self.asked,
            scores=self.scores,
        )
        self.rows.append(row)
        return row

    def done(self) -> list[Result]:
        """Return the rows, each with the seconds since the sheet was begun."""
        seconds = round(time.perf_counter() - self._start, 3)
        return [replace(row, seconds=seconds) for row in self.rows]


def digest_of(questions: Iterable[Sequence[object]]) -> str:
    """Return a short digest of questions: texts, and names of pictures without their folders."""
    digest = hashlib.sha256()
    for question in questions:
        for part in question:
            name = part.name if isinstance(part, Path) else str(part)
            digest.update(f"{name}\0".encode("utf-8", "surrogatepass"))
        digest.update(b"\1")
    return digest.hexdigest()[:12]


def find(rows: Iterable[Result], benchmark: str, task: str, metric: str) -> Result:
    """Return the first row with this key.

    Raises:
        UserError: No row has it.
    """
    for row in rows:
        if row.key == (benchmark, task, metric):
            return row
    raise UserError(f"no result row for {benchmark}, {task}, {metric}; evaluate that benchmark too")
