"""Leaving in good order when the system or the user asks for it.

The first SIGTERM or Ctrl-C sets a flag that the loop reads after each step; it then saves and
raises `trifocal.errors.Stopped`. A second Ctrl-C interrupts at once.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

from trifocal.errors import Stopped
from trifocal.progress import Progress


class StopSignals:
    """While entered, remembers SIGTERM and SIGINT in `received` (0: none so far)."""

    def __init__(self) -> None:
        self.received = 0
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():  # others cannot set handlers
            for number in (signal.SIGTERM, signal.SIGINT):
                self._previous[number] = signal.signal(number, self._remember)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous.clear()

    def _remember(self, number: int, _: FrameType | None) -> None:
        if self.received == signal.SIGINT and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = self.received or number


class Stoppable:
    """Progress of what can be left at any point, since what is done of it stays done.

    Args:
        progress: Is told.
        signals: Raises `Stopped` once one was received.
        step: Steps that the run has made, and saved.
        folder: The run's.
    """

    def __init__(self, progress: Progress, signals: StopSignals, step: int, folder: str) -> None:
        self._progress, self._signals = progress, signals
        self._step, self._folder = step, folder

    def start(self, what: str, total: int) -> None:
        """Begin a job of `total` steps."""
        self._progress.start(what, total)

    def advance(self, count: int) -> None:
        """Note that `count` more steps are done.

        Raises:
            Stopped: a signal was received.
        """
        self._progress.advance(count)
        if self._signals.received:
            raise Stopped(self._signals.received, self._step, self._folder)
