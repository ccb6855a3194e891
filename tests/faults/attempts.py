"""Attempts at commands that go wrong on purpose."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
NOBODY = 65534
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


@dataclass(frozen=True)
class Attempt:
    """What came of a command."""

    status: int  # of the exit; negative where a signal ended it
    seconds: float
    told: str  # all that it printed

    @property
    def sentence(self) -> str:
        """The last line, which is the error of a command that says one."""
        return (self.told.strip().splitlines() or [""])[-1]


class Server:
    """The process that forks; see `tests.faults.server`."""

    def __init__(self, folder: Path) -> None:
        self._log = folder / "log"
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
        uid: int = 0,
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
            uid: Whose the process is.
            learn: Import what the command imported, so that the next one has it.
        """
        (folder / "tmp").mkdir(exist_ok=True)
        environment = {
            "XDG_CACHE_HOME": str(folder / "cache"),
            "TMPDIR": str(folder / "tmp"),
            "ACCELERATE_USE_CPU": "true",
        }
        request = {
            "words": words, "folder": str(folder), "call": call, "after": after, "uid": uid,
            "signal": int(number), "largest": largest, "learn": learn, "log": str(self._log),
            "environment": environment,
        }  # fmt: skip
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps(request) + "\n")
        stdin.flush()
        answer = json.loads(stdout.readline())
        told = self._log.read_text(errors="replace") if self._log.is_file() else ""
        return Attempt(answer["status"], answer["seconds"], told)

    def close(self) -> None:
        """End the process."""
        self._process.communicate()
