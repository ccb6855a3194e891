"""Results on disk: JSON lines that grow row by row, and records as CLIP_benchmark writes them."""

from __future__ import annotations

import json
import logging
import math
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from trifocal.errors import UserError
from trifocal.files import Lines, atomic_write, check_file, growing
from trifocal.metrics.result import COST_METRICS, IN_MEMORY, Result

logger = logging.getLogger(__name__)

_FIELDS = {field.name: field for field in fields(Result) if field.name not in IN_MEMORY}
_REQUIRED = tuple(name for name, field in _FIELDS.items() if field.default is MISSING)
# Tasks that CLIP_benchmark knows; a row of any other task is a data set of its own there.
_SHARED_TASKS = ("zeroshot_classification", "zeroshot_retrieval", "linear_probe")
_BEGINS = b'{"benchmark": '  # a row, as `append_results` writes it
_CHOICE_TASK = "image_caption_selection"
_THEIR_NAMES = {"sugarcrepe": "sugar_crepe"}


def check_results(path: str | os.PathLike[str]) -> None:
    """Refuse a path that rows cannot be added to; commands ask before they compute anything.

    Raises:
        UserError: it does not end in .jsonl, or is a folder or a file of something else.
    """
    if Path(path).suffix.lower() != ".jsonl":
        raise UserError(f"the results file {path} holds JSON lines; end its name in .jsonl.")
    if not Path(path).is_file():
        try:
            check_file(path, "results file")
            return
        except UserError:
            if not Path(path).is_file():  # else another process made it just now
                raise
    if not os.access(path, os.W_OK):
        raise UserError(f"cannot write {path} (it is read-only); give another file.")
    lines = Path(path).read_bytes().split(b"\n")
    for number, line in enumerate(lines, start=1):
        torn = number == len(lines) and (line.startswith(_BEGINS) or _BEGINS.startswith(line))
        try:
            if line.strip() and not torn:
                _row(line.decode("utf-8-sig"), f"{path}, line {number}")
        except (UserError, UnicodeDecodeError):
            raise UserError(
                f"{path} is no results file (line {number} is no row), so nothing is added to it; "
                "give another file."
            ) from None


def add_results(path: str | os.PathLike[str], rows: Iterable[Result]) -> int:
    """Add rows to a results file but for those that it holds already; return how many were added.

    A row is the same if all is but the seconds it took; a cost, which is another each time, is the
    same whatever its value. A row that has another value than before is added, with a warning:
    none that was measured is taken away. Several processes may add to one file.

    Raises:
        UserError: see `check_results`.
    """
    return ResultsFile(path).add(rows)


class ResultsFile:
    """A results file that rows are added to many times; what was read of it is not read again.

    Args:
        path: The file; it need not exist.

    Raises:
        UserError: see `check_results`.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        check_results(path)
        self.path = path
        self._read = b""  # of the file, and the values that its rows have by what they measure
        self._known: dict[str, set[float]] = {}

    def add(self, rows: Iterable[Result]) -> int:
        """Add rows as `add_results` does, and return how many were added."""
        with growing(self.path) as lines:
            _mend(lines)  # ends a line that a killed run left half-written
            self._learn(lines.read())
            asked = [(_question(row), row) for row in rows]
            new = [
                (question, row)
                for question, row in asked
                if (there := self._known.get(question)) is None
                or (row.metric not in COST_METRICS and row.value not in there)
            ]
            lines.add(_lines(row for _, row in new))
        if held := len(asked) - len(new):
            logger.info("%s held %d of the %d rows already", self.path, held, len(asked))
        for question, row in new:
            if question in self._known:
                logger.warning(
                    "%s has %s %s %s of %s twice now, with different values; remove one of the "
                    "lines, or tables show their mean",
                    self.path, row.benchmark, row.task, row.metric, row.model,
                )  # fmt: skip
        return len(new)

    def _learn(self, content: bytes) -> None:
        """Read the lines that came since, or all of them where the file is not what it was."""
        if not content.startswith(self._read):
            self._read, self._known = b"", {}
        first = self._read.count(b"\n") + 1
        for number, line in enumerate(content[len(self._read) :].split(b"\n"), start=first):
            if line.strip():
                row = _row(line.decode("utf-8-sig"), f"{self.path}, line {number}")
                self._known.setdefault(_question(row), set()).add(row.value)
        self._read = content


def _question(row: Result) -> str:
    """Return all of a row but what was measured."""
    left = {
        key: value
        for key, value in row.as_dict().items()
        if key not in ("value", "seconds", "ties")
    }
    return json.dumps(left, sort_keys=True)


def append_results(path: str | os.PathLike[str], rows: Iterable[Result]) -> None:
    """Add rows to a results file, creating it if needed.

    A line that a killed process left half-written is removed first, so that the file stays
    readable; whole lines are never touched.

    Raises:
        UserError: see `check_results`; a number is not finite; or the disk is full. The file is as
            it was.
    """
    check_results(path)
    added = _lines(rows)
    with growing(path) as lines:
        _mend(lines)
        lines.add(added)


def _lines(rows: Iterable[Result]) -> bytes:
    lines = []
    for row in rows:
        try:
            lines.append(json.dumps(row.as_dict(), allow_nan=False) + "\n")
        except ValueError:
            name = " ".join(filter(None, (row.model, *row.key)))
            raise UserError(
                f"the row {name} holds a number that is not finite (value {row.value}), which a "
                "results file cannot keep; leave the row out, or mend what made it."
            ) from None
    return "".join(lines).encode()


def _mend(lines: Lines) -> None:
    """End a file at a line's end: complete its last line, or cut it off if it is broken."""
    content = lines.read()
    if not content or content.endswith(b"\n"):
        return
    start = content.rfind(b"\n") + 1
    try:
        json.loads(content[start:])
        lines.add(b"\n")
    except ValueError:
        lines.cut(start)


def write_results(path: str | os.PathLike[str], rows: Iterable[Result]) -> None:
    """Write a results file anew; it is wholly there or unchanged.

    Raises:
        UserError: see `check_results`, or a number is not finite.
    """
    check_results(path)
    with atomic_write(path) as aside:
        aside.write_bytes(_lines(rows))


def read_results(path: str | os.PathLike[str]) -> list[Result]:
    """Read a results file; unknown fields (of a later version) are left out.

    Raises:
        UserError: The file is missing or a line is not a result row.
    """
    source = Path(path)
    if not source.is_file():
        raise UserError(f"results file {source} not found; `trifocal eval` writes one")
    rows = []
    try:
        text = source.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{source} is not UTF-8 text, so it is no results file.") from None
    except OSError as error:
        raise UserError(f"cannot read {source} ({error.strerror}); give another file.") from None
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            rows.append(_row(line, f"{source}, line {number}"))
    return rows


def _row(line: str, where: str) -> Result:
    try:
        data = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where} is not JSON ({error}); remove that line") from error
    absent = [name for name in _REQUIRED if not isinstance(data, dict) or name not in data]
    if absent:
        raise UserError(
            f"{where} is not a result row: it lacks {', '.join(absent)}; "
            "give a file that `trifocal eval` wrote"
        )
    odd = [name for name in _FIELDS if name in data and not _suits(name, data[name])]
    if odd:
        raise UserError(
            f"{where} is not a result row: its {odd[0]} is {data[odd[0]]!r:.40}; remove that line"
        )
    return Result(**{name: data[name] for name in _FIELDS if name in data})


def _suits(name: str, value: object) -> bool:
    """Return whether a field of a row may have a value: texts, numbers (finite ones), an account."""
    if name in ("benchmark", "task", "metric", "protocol", "model", "version", "asked"):
        return isinstance(value, str)
    if name == "account":
        return value is None or isinstance(value, dict)
    if value is None:
        return name in ("chance", "seed", "ties", "blind")
    whole = isinstance(value, int) and not isinstance(value, bool)
    if name in ("n", "seed", "ties"):
        return whole
    return whole or (isinstance(value, float) and math.isfinite(value))


def clip_benchmark_records(rows: Sequence[Result], language: str = "en") -> list[dict[str, Any]]:
    """Return the records that CLIP_benchmark would have written, one per data set and model.

    Each has its keys `dataset, model, pretrained, task, metrics, language`, and besides them ours
    that are the same for all metrics of the record (n, seed, protocol, version).
    """
    grouped: dict[tuple[str, str, str, int | None], dict[str, Any]] = {}
    for row in rows:
        dataset, task = _their_task(row)
        architecture, _, tag = row.model.partition(":")
        record = grouped.setdefault(
            (dataset, task, row.model, row.seed),
            {
                "dataset": dataset,
                "model": architecture,
                "pretrained": tag,
                "task": task,
                "metrics": {},
                "language": language,
                "n": row.n,
                "seed": row.seed,
                "protocol": row.protocol,
                "version": row.version,
            },
        )
        record["metrics"][row.metric] = row.value
    return list(grouped.values())


def _their_task(row: Result) -> tuple[str, str]:
    """Return CLIP_benchmark's data set and task of a row."""
    name = _THEIR_NAMES.get(row.benchmark, row.benchmark)
    if row.task in _SHARED_TASKS:
        return name, row.task
    return f"{name}/{row.task}", _CHOICE_TASK if row.metric == "acc" else row.task


def check_records(folder: str | os.PathLike[str]) -> None:
    """Refuse a folder that records cannot be written into.

    Raises:
        UserError: it is a file, or nothing can be written there.
    """
    check_file(Path(folder) / "record.json.new", "record")


def _may_replace(path: Path) -> bool:
    """Return whether nothing or a record of ours, which has a version and a protocol, is there."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return True
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(record, dict) and {"metrics", "protocol", "version"} <= record.keys()


def export_clip_benchmark(
    folder: str | os.PathLike[str], rows: Sequence[Result], language: str = "en"
) -> list[Path]:
    """Write one JSON file per record, as `clip_benchmark build` reads them; return their paths."""
    written: list[Path] = []
    for record in clip_benchmark_records(rows, language):
        parts = [record[key] for key in ("dataset", "pretrained", "model", "language", "task")]
        parts += [] if record["seed"] is None else [f"seed{record['seed']}"]
        stem = "_".join(re.sub(r"[^\w.@+-]+", "_", part) for part in parts if part)
        path, number = Path(folder) / f"{stem}.json", 1
        # Another model whose name differs only in signs; or a file that somebody else wrote.
        while path in written or not _may_replace(path):
            number += 1
            path = Path(folder) / f"{stem}_{number}.json"
        with atomic_write(path) as aside:
            aside.write_text(json.dumps(record), encoding="utf-8")
        written.append(path)
    return written
