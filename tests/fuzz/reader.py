"""A reader, what it is fed with, and what became of one input."""

from __future__ import annotations

import contextlib
import json
import logging
import resource
import shutil
import signal
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from tests.fuzz import packed
from trifocal.errors import UserError

MOST_SECONDS = 10.0  # an input that takes longer has failed
MOST_MEMORY = 600 << 10  # KiB that the process may grow by
_MOST_SAID = 50  # lines that one input may cause


@dataclass(frozen=True)
class Seed:
    """A folder of files, which is read without fault.

    Attributes:
        files: Content by name; one of them is changed for each input. The first is what is read.
        fixed: Content of files that stay.
        changes: Which of `files` are changed; all by default.
        refused: It is refused as it is.
    """

    files: Mapping[str, bytes]
    fixed: Mapping[str, bytes] = field(default_factory=dict)
    changes: tuple[str, ...] = ()
    refused: bool = False


@dataclass(frozen=True)
class Reader:
    """A reader of foreign files.

    Attributes:
        seeds: Returns what it reads.
        read: Reads the first file of a seed (or the folder around it); returns what it found.
        check: Asserts what must hold of that.
        refusals: What it may raise.
        after: Files that reading makes; they are removed for the next input.
    """

    seeds: Callable[[], list[Seed]]
    read: Callable[[Path], Any]
    check: Callable[[Any], None] | None = None
    refusals: tuple[type[Exception], ...] = (UserError,)
    after: tuple[str, ...] = ()


class Slow(Exception):  # noqa: N818 - it says what was wrong with a reader
    """An input took too long."""


class Said(Exception):  # noqa: N818
    """An input made a library warn, or a reader say very much."""


@dataclass(frozen=True)
class Outcome:
    """What became of an input.

    Attributes:
        returned: Whether the reader returned something; otherwise it refused.
        seconds: How long it took.
        changed: The file that was changed.
        seed: Of which seed.
        fault: Empty, or the traceback of what should not be.
    """

    returned: bool
    seconds: float
    changed: str
    seed: int
    fault: str = ""


class Bench:
    """Feeds a reader, in a folder of its own."""

    def __init__(self, reader: Reader, folder: Path) -> None:
        self.reader, self.folder = reader, folder
        self.seeds = reader.seeds()
        self.places = [folder / str(number) for number in range(len(self.seeds))]
        for seed, place in zip(self.seeds, self.places):
            for name, content in {**seed.fixed, **seed.files}.items():
                (place / name).parent.mkdir(parents=True, exist_ok=True)
                (place / name).write_bytes(content)

    def check_seeds(self) -> None:
        """Read each seed as it is: a refusal of one would hide everything behind it."""
        for seed, place in zip(self.seeds, self.places):
            if seed.refused:
                continue
            found = self.reader.read(place / next(iter(seed.files)))
            if self.reader.check is not None:
                self.reader.check(found)
            self._tidy(place)

    def feed(self, rng: Random) -> Outcome:
        """Change a file, read it, and put it back."""
        number = rng.randrange(len(self.seeds))
        seed, place = self.seeds[number], self.places[number]
        name = rng.choice(seed.changes or tuple(seed.files))
        content = packed.changed(name, seed.files[name], rng)
        (place / name).write_bytes(content)
        try:
            return self._read(number, name)
        finally:
            self._tidy(place)
            (place / name).write_bytes(seed.files[name])

    def keep(self, outcome: Outcome, rng: Random, target: Path) -> None:
        """Store the input that a generator makes, and what became of it."""
        seed, place = self.seeds[outcome.seed], self.places[outcome.seed]
        rng.randrange(len(self.seeds))
        name = rng.choice(seed.changes or tuple(seed.files))
        shutil.copytree(place, target, dirs_exist_ok=True)
        (target / name).write_bytes(packed.changed(name, seed.files[name], rng))
        (target / "fault.txt").write_text(outcome.fault, errors="backslashreplace")

    def _read(self, number: int, name: str) -> Outcome:
        path, returned, fault = self.places[number] / next(iter(self.seeds[number].files)), True, ""
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start = time.perf_counter()
        try:
            with _watched():
                found = self.reader.read(path)
                if self.reader.check is not None:
                    self.reader.check(found)
        except self.reader.refusals as error:
            returned = False
            if not str(error).strip():
                fault = f"an empty sentence: {traceback.format_exc()}"
        except Exception:
            returned, fault = False, traceback.format_exc()
        seconds = time.perf_counter() - start
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        if not fault and grown > MOST_MEMORY:
            fault = f"the process grew by {grown >> 10} MiB"
        return Outcome(returned, seconds, name, number, fault)

    def _tidy(self, place: Path) -> None:
        for pattern in self.reader.after:
            for path in place.glob(pattern):
                shutil.rmtree(path) if path.is_dir() else path.unlink()


@contextlib.contextmanager
def _watched() -> Iterator[None]:
    """Stop what takes too long, and count what is said meanwhile."""
    said = _Counter()
    logger = logging.getLogger("trifocal")

    def stop(*_: object) -> None:
        raise Slow(f"more than {MOST_SECONDS} s")

    logger.addHandler(said)
    handler = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, MOST_SECONDS)
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            # As `trifocal.data.images` has it; pytest takes it away.
            warnings.filterwarnings("ignore", module=r"PIL\.")
            yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        logger.removeHandler(said)
    if warned:
        raise Said(f"{len(warned)} warnings: {warned[0]}")
    if said.count > _MOST_SAID:
        raise Said(f"{said.count} lines")


class _Counter(logging.Handler):
    """Formats and counts what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        record.getMessage()
        self.count += 1


def lines(*entries: Any) -> bytes:
    """Return JSON lines."""
    return b"".join(json.dumps(entry).encode() + b"\n" for entry in entries)
