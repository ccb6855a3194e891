"""What a run tells: JSON lines, curves, and every half minute a line with the time that is left.

Only the first process writes.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from trifocal.files import atomic_write
from trifocal.train.trackers import Curves

logger = logging.getLogger(__name__)

_QUIET_SECONDS = 30.0
_FEW = 4  # measures that a line has room for
_SHORT = ("recall@1", "acc1")  # those that it has where there are more
_OWN = "held_out/"


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a small JSON file, wholly or not at all."""
    with atomic_write(path) as aside:
        aside.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the records of a JSON-lines file; lines that are none, as a kill cuts one, are left out."""
    if not path.is_file():
        return []
    records = []
    for line in path.read_bytes().splitlines():
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(record, dict):
            records.append(record)
    return records


def rewind_lines(path: Path, step: int) -> None:
    """Drop what a killed run had logged after `step`: the steps will be made again."""
    records = read_lines(path)
    kept = [record for record in records if record.get("step", 0) <= step]
    if path.is_file():
        with atomic_write(path) as aside:
            aside.write_text("".join(_line(record) for record in kept), encoding="utf-8")


def _line(record: dict[str, Any]) -> str:
    # JSON knows no NaN; a reader in another language must not stumble over one.
    safe = {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in record.items()
    }
    return json.dumps(safe) + "\n"


class RunLog:
    """The log of one run; does nothing where `active` is false.

    Args:
        folder: The run folder.
        total: Steps of the whole run.
        start: Steps that were made before.
        active: Whether this process writes.
        trackers: Get the numbers too.
    """

    def __init__(
        self,
        folder: Path,
        *,
        total: int,
        start: int = 0,
        active: bool = True,
        trackers: Sequence[Curves] = (),
    ) -> None:
        self.total, self.start, self.active = total, start, active
        self._begun = self._told = time.monotonic()
        self._before: dict[str, float] = {}
        if not active:
            return
        rewind_lines(folder / "metrics.jsonl", start)
        self._file = (folder / "metrics.jsonl").open("ab", buffering=0)
        self._skipped = folder / "skipped.jsonl"
        self._trackers = trackers

    def event(self, event: str, step: int, **values: Any) -> None:
        """Append one record."""
        if self.active:
            self._file.write(_line({"event": event, "step": step, **values}).encode())

    def scalars(self, event: str, step: int, values: dict[str, float], **extra: Any) -> None:
        """Append a record of numbers, and give them to the trackers too."""
        if not self.active:
            return
        self.event(event, step, **extra, **values)
        named = {name if "/" in name else f"{event}/{name}": it for name, it in values.items()}
        for tracker in self._trackers:
            tracker.add(named, step)

    def measured(self, step: int, values: dict[str, float]) -> None:
        """Say what an evaluation found, and how far that is from the one before."""
        if not self.active:
            return
        told = [
            f"{name.removeprefix(_OWN)} {value:.3f}"
            + (f" ({value - self._before[name]:+.3f})" if name in self._before else "")
            for name, value in values.items()
            if len(values) <= _FEW or name.endswith(_SHORT)
        ]
        self._before = dict(values)
        logger.info("step %d: %s", step, ", ".join(told[:_FEW]))

    def skipped(self, records: list[dict[str, Any]]) -> None:
        """Name samples that could not be read."""
        if self.active and records:
            with self._skipped.open("a", encoding="utf-8") as file:
                file.writelines(_line(record) for record in records)

    def progress(self, step: int, note: str = "") -> None:
        """Say how far the run is (`step` steps made)."""
        if not self.active:
            return
        now = time.monotonic()
        if now - self._told >= _QUIET_SECONDS or step == self.total:
            self._told = now
            done = max(step - self.start, 1)
            left = timedelta(seconds=round((now - self._begun) / done * (self.total - step)))
            logger.info("step %d of %d, %s left  %s", step, self.total, left, note)

    def close(self) -> None:
        """Close the files, and the trackers."""
        if self.active:
            self._file.close()
            for tracker in self._trackers:
                tracker.close()
