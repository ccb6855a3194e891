"""What each question adds to a row, kept beside a results file so that models can be compared.

`results.jsonl` has a folder `results.answers` with one small file a row, and one for the scores of all
questions of a benchmark; few-shot rows lie there, too.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from trifocal.files import atomic_write
from trifocal.metrics.result import Result

if TYPE_CHECKING:
    from torch import Tensor

_FORMAT = "trifocal-marks-1"
_SCORES = "trifocal-scores-1"


def keep_marks(results: str | PathLike[str], rows: Iterable[Result]) -> None:
    """Write the marks and the scores of those rows that have some.

    A row that was measured again has its latest; rows of one benchmark share their scores.
    """
    kept: set[Path] = set()
    for row in rows:
        if row.marks is not None:
            facts = {"format": _FORMAT, "asked": row.asked, "value": repr(row.value)}
            _write(marks_file(results, row), "marks", row.marks, facts)
        if row.scores is not None and (path := scores_file(results, row)) not in kept:
            kept.add(path)
            _write(path, "scores", row.scores, {"format": _SCORES, "asked": row.asked})


def read_marks(results: str | PathLike[str], row: Result) -> np.ndarray | None:
    """Return the marks (n,) of a row of a results file, whose mean is its value.

    None where they were not kept, are damaged, or belong to another measurement of it.
    """
    marks, facts = _read(marks_file(results, row), "marks")
    theirs = facts.get("asked") == row.asked and facts.get("value") == repr(row.value)
    return marks.astype(float) if marks is not None and theirs and marks.shape == (row.n,) else None


def read_scores(results: str | PathLike[str], row: Result) -> np.ndarray | None:
    """Return the scores (N, I, T) of the benchmark that a row is of; None as `read_marks`."""
    scores, facts = _read(scores_file(results, row), "scores")
    theirs = facts.get("asked") == row.asked
    return scores if scores is not None and theirs and scores.ndim == 3 else None


def marks_file(results: str | PathLike[str], row: Result) -> Path:
    """Return where the marks of a row are kept."""
    told = [*row.key, row.model, row.seed, row.version]
    return _place(results, told, f"{row.benchmark}-{row.task}-{row.metric}")


def scores_file(results: str | PathLike[str], row: Result) -> Path:
    """Return where the scores of the benchmark that a row is of are kept."""
    told = [row.benchmark, row.model, row.seed, row.version, row.asked]
    return _place(results, told, f"{row.benchmark}-scores")


def _place(results: str | PathLike[str], told: Sequence[object], words: str) -> Path:
    digest = hashlib.sha256(json.dumps(told).encode()).hexdigest()[:12]
    words = re.sub(r"[^\w.-]+", "_", words)
    path = Path(results)
    return path.with_name(f"{path.stem}.answers") / f"{words[:80]}-{digest}.safetensors"


def _write(path: Path, name: str, values: Tensor, facts: dict[str, str]) -> None:
    with atomic_write(path) as aside:
        save_file({name: values.detach().cpu().numpy().astype(np.float32)}, aside, facts)


def _read(path: Path, name: str) -> tuple[np.ndarray | None, dict[str, str]]:
    """Return an array and its facts; None if there is none that can be read."""
    try:
        with safe_open(path, "np") as opened:
            return opened.get_tensor(name), opened.metadata() or {}
    except (OSError, SafetensorError, KeyError):
        return None, {}
