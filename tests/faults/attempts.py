"""Attempts at commands that go wrong on purpose."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


@dataclass(frozen=True)
class Attempt:
    """What came of a command."""

    status: int  # of the exit; negative where a signal ended it
    seconds: float
    cpu: float  # seconds of it, without what it started in turn
    told: str  # all that it printed

    @property
    def sentence(self) -> str:
        """The last line, which is the error of a command that says one."""
        return (self.told.strip().splitlines() or [""])[-1]


class Server:
    """The process that forks; see `tests.faults.server`."""

    def __init__(self, folder: Path) -> None:
        self._log = folder / "log"
        # Names of sockets, which data workers have there, are bounded to a hundred characters.
        self._tmp = tempfile.mkdtemp()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=REPOSITORY,
            env={**os.environ, **ONE_THREAD},
            text=True,
        )

    def run(
        self,
        words: list[str],
        folder: Path,
        *,
        call: str = "trifocal.cli:main",
        after: float | None = None,
        number: int = signal.SIGKILL,
        largest: int | None = None,
        learn: bool = False,
    ) -> Attempt:
        """Run a command in a folder.

        Args:
            words: Of the command line.
            folder: Where it runs; its cache is there, too.
            call: What takes the words.
            after: Seconds after which it gets a signal.
            number: The signal; SIGKILL goes to all that it started.
            largest: Bytes that a file may have.
            learn: Import what the command imported, so that the next one has it.
        """
        request = {
            "call": call, "after": after, "signal": int(number), "largest": largest,
            "learn": learn,
        }  # fmt: skip
        return self._run([{"words": words, **request}], folder)[0]

    def run_both(
        self, one: list[str], other: list[str], folder: Path, *, call: str = "trifocal.cli:main"
    ) -> list[Attempt]:
        """Run two commands in a folder at once."""
        request = {"call": call, "after": None, "largest": None, "learn": False}
        return self._run([{"words": words, **request} for words in (one, other)], folder)

    def _run(self, requests: list[dict[str, Any]], folder: Path) -> list[Attempt]:
        own = folder / "tmp"  # where a test has made one, for files that go again
        environment = {
            "XDG_CACHE_HOME": str(folder / "cache"),
            "TMPDIR": str(own if own.is_dir() else self._tmp),
            "ACCELERATE_USE_CPU": "true",
        }
        logs = [Path(f"{self._log}-{number}") for number in range(len(requests))]
        for request, log in zip(requests, logs, strict=True):
            request |= {"folder": str(folder), "log": str(log), "environment": environment}
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps(requests) + "\n")
        stdin.flush()
        answers = json.loads(stdout.readline())
        told = [log.read_text(errors="replace") if log.is_file() else "" for log in logs]
        return [Attempt(**answer, told=text) for answer, text in zip(answers, told, strict=True)]

    def close(self) -> None:
        """End the process."""
        self._process.communicate()
        shutil.rmtree(self._tmp, ignore_errors=True)
