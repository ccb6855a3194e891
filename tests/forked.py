"""A Python process that costs no imports: a fork of this one, which has paid for them.

Where a test is about what a process does, not about how it begins, `run` and `Forked` take the
places of `subprocess.run` and `subprocess.Popen`; a tenth of the time goes by.
"""

from __future__ import annotations

import contextlib
import logging
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

import torch


class Forked:
    """What `python -m MODULE ...` or `python FILE ...` would be, as a child of this process.

    Args:
        words: The command line; its first word is the interpreter.
        cwd: Where it runs.
        env: Its whole environment.
        stdin, stdout, stderr: Files; /dev/null unless given.
    """

    def __init__(
        self,
        words: Sequence[str],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdin: int | None = None,
        stdout: IO[bytes] | None = None,
        stderr: IO[bytes] | None = None,
    ) -> None:
        assert words[0] == sys.executable
        assert stdin in (None, subprocess.DEVNULL)
        self.returncode: int | None = None
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid:
            return
        status = 1
        try:
            _become(cwd, env, [stdout, stderr])
            status = _main(list(words[1:]))
        except BaseException:
            traceback.print_exc()
        finally:
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(OSError):
                    stream.flush()
            os._exit(status)

    def poll(self) -> int | None:
        """Return the status if it has ended; negative where a signal ended it."""
        if self.returncode is None:
            done, status = os.waitpid(self.pid, os.WNOHANG)
            if done:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Return the status once it has ended."""
        until = None if timeout is None else time.monotonic() + timeout
        while (status := self.poll()) is None:
            if until is not None and time.monotonic() > until:
                raise subprocess.TimeoutExpired("a forked process", timeout or 0.0)
            time.sleep(0.005)
        return status

    def send_signal(self, number: int) -> None:
        """Send a signal if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)


def run(
    words: Sequence[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a process to its end, and return its status and what it printed."""
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        status = Forked(words, cwd=cwd, env=env, stdout=stdout, stderr=stderr).wait(600)
        told = []
        for file in (stdout, stderr):
            file.seek(0)
            told.append(file.read().decode())
    return subprocess.CompletedProcess(words, status, *told)


def _become(
    cwd: Path | None, env: Mapping[str, str] | None, files: Sequence[IO[bytes] | None]
) -> None:
    """Leave what was the parent's: its threads, files, handlers, folder and environment."""
    torch.set_num_threads(1)  # sums would wait for threads that only the parent has
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    for number, file in enumerate(files, 1):
        os.dup2(null if file is None else file.fileno(), number)
    logging.getLogger().handlers.clear()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if env is not None:
        os.environ.clear()
        os.environ.update(env)
    encoding = os.environ.get("PYTHONIOENCODING", "utf-8")
    sys.stdin = os.fdopen(0, encoding=encoding, closefd=False)
    sys.stdout = os.fdopen(1, "w", encoding=encoding, closefd=False)
    sys.stderr = os.fdopen(2, "w", 1, encoding, "backslashreplace", closefd=False)
    if cwd is not None:
        os.chdir(cwd)


def _main(words: list[str]) -> int:
    """Run a module or a file as the interpreter does, and return the status."""
    module = words[0] == "-m"
    name, *arguments = words[1:] if module else words
    sys.argv = [name, *arguments]
    try:
        if module:
            runpy.run_module(name, run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(name, run_name="__main__")
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0
