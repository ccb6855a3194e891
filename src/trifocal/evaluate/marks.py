"""What each question adds to a row, kept beside a results file so that models can be compared.

`results.jsonl` has a folder `results.answers` with one small file a row; few-shot rows lie there, too.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from os import PathLike
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from trifocal.files import atomic_write
from trifocal.metrics.result import Result

_FORMAT = "trifocal-marks-1"


def keep_marks(results: str | PathLike[str], rows: Iterable[Result]) -> None:
    """Write the marks of those rows that have some; a row that was measured again has its latest."""
    for row in rows:
        if row.marks is None:
            continue
        marks = {"marks": row.marks.detach().cpu().numpy().astype(np.float32)}
        facts = {"format": _FORMAT, "asked": row.asked, "value": repr(row.value)}
        with atomic_write(marks_file(results, row)) as aside:
            save_file(marks, aside, facts)


def read_marks(results: str | PathLike[str], row: Result) -> np.ndarray | None:
    """Return the marks (n,) of a row of a results file, whose mean is its value.

    None where they were not kept, are damaged, or belong to another measurement of it.
    """
    try:
        with safe_open(marks_file(results, row), "np") as opened:
            marks, facts = opened.get_tensor("marks"), opened.metadata() or {}
    except (OSError, SafetensorError, KeyError):
        return None
    theirs = facts.get("asked") == row.asked and facts.get("value") == repr(row.value)
    return marks.astype(float) if theirs and marks.shape == (row.n,) else None


def marks_file(results: str | PathLike[str], row: Result) -> Path:
    """Return where the marks of a row are kept."""
    told = json.dumps([*row.key, row.model, row.seed, row.version])
    digest = hashlib.sha256(told.encode()).hexdigest()[:12]
    words = re.sub(r"[^\w.-]+", "_", f"{row.benchmark}-{row.task}-{row.metric}")
    path = Path(results)
    return path.with_name(f"{path.stem}.answers") / f"{words[:80]}-{digest}.safetensors"
