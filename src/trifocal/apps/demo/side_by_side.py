"""Several short trainings at a time, each in a process of its own.

One such run cannot fill a machine: its matrices are small. A run here is the command that a user
would type; what it says goes into `NAME.log`, and the bars follow its metrics file.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from trifocal.devices import usable_cores
from trifocal.errors import Stopped, UserError
from trifocal.train.logs import read_lines
from trifocal.train.stop import StopSignals

Made = Mapping[str, tuple[int, int | None]]  # run name to steps made, and steps in all if known

_TICK = 0.5  # seconds between two looks at the runs
_QUIET_SECONDS = 20.0  # between two lines where there is no terminal for bars


class SideBySide:
    """Trainings that were started together; leaving the context stops those that still run.

    Args:
        recipe: The recipe of all of them.
        runs: Run name to the options that make it differ.
        folder: Where the run folders and the logs go.
    """

    def __init__(self, recipe: Path, runs: Mapping[str, Sequence[str]], folder: Path) -> None:
        self.folder = folder
        self._command = [sys.executable, "-m", "trifocal", "train", str(recipe)]
        self._runs = runs
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> SideBySide:
        self.folder.mkdir(parents=True, exist_ok=True)
        threads = max(usable_cores() // len(self._runs), 1)
        environment = {"OMP_NUM_THREADS": str(threads), **os.environ}
        for name, options in self._runs.items():
            with self._log(name).open("wb") as log:
                self._children[name] = subprocess.Popen(
                    [*self._command, *options, "--name", name, "--output", str(self.folder)],
                    env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Let the runs that still go save and leave, and wait until they have."""
        for child in self._children.values():
            if child.poll() is None:
                child.terminate()
        for child in self._children.values():
            child.wait()

    def wait(self, console: Console) -> None:
        """Show how far the runs are until all have ended.

        Raises:
            UserError: A run failed; its own words are part of the sentence.
            Stopped: SIGTERM or Ctrl-C; the same command goes on from there.
        """
        with StopSignals() as signals, _Bars(console, self._runs) as bars:
            going = True
            while going:
                time.sleep(_TICK)
                going = any(child.poll() is None for child in self._children.values())
                if signals.received:  # the runs may have had the signal too, and have left
                    self.stop()
                    least = min(step for step, _ in self._made().values())
                    raise Stopped(signals.received, least, str(self.folder))
                self._check()
                bars.show(self._made())

    def _check(self) -> None:
        for name, child in self._children.items():
            if child.poll():
                said = self._log(name).read_text(errors="replace").strip().splitlines()
                last = said[-1].removeprefix("trifocal: ") if said else "it said nothing"
                raise UserError(f"the run {name} failed: {last} (see {self._log(name)})")

    def _made(self) -> Made:
        """Return how many steps each run has logged, and of how many."""
        logs = {name: read_lines(self.folder / name / "metrics.jsonl") for name in self._runs}
        return {
            name: (
                max((record["step"] for record in log), default=0),
                next((record["total"] for record in log if "total" in record), None),
            )
            for name, log in logs.items()
        }

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"


class _Bars:
    """Bars on a terminal, a line now and then elsewhere."""

    def __init__(self, console: Console, names: Iterable[str]) -> None:
        self._console = console
        self._told = time.monotonic()
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=console, disable=not console.is_terminal,
        )  # fmt: skip
        self._tasks = {name: self._progress.add_task(name, total=None) for name in names}

    def __enter__(self) -> _Bars:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, made: Made) -> None:
        """Show the steps made."""
        for name, (step, total) in made.items():
            self._progress.update(self._tasks[name], completed=step, total=total)
        now = time.monotonic()
        if not self._console.is_terminal and now - self._told >= _QUIET_SECONDS:
            self._told = now
            told = ", ".join(
                f"{name} {step}/{total or '?'}" for name, (step, total) in made.items()
            )
            self._console.print(f"  steps: {told}", highlight=False)
