"""What a long job shows while it works: one progress bar."""

from __future__ import annotations

import os
import sys
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars


class ProgressBars:
    """A progress bar with an ETA; silent where nobody watches (no terminal, or not rank 0).

    Use as a context manager around what is told of it.

    Args:
        console: Where to draw.
        quiet: Draw nothing.
        within: Bars of the job that this one is a part of; drawn below them, and shown as long as
            they are.
    """

    def __init__(
        self,
        console: Console | None = None,
        *,
        quiet: bool = False,
        within: ProgressBars | None = None,
    ) -> None:
        console = console or Console(file=sys.stderr)
        self._bars = (
            within._bars
            if within
            else Bars(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                console=console,
                disable=quiet or not console.is_terminal or os.environ.get("RANK", "0") != "0",
                transient=True,
            )
        )
        self._task: Any = None

    def __enter__(self) -> ProgressBars:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def start(self, what: str, total: int) -> None:
        """Begin a bar of `total` steps; the one before it goes away."""
        if self._task is not None:
            self._bars.remove_task(self._task)
        self._task = self._bars.add_task(what, total=total)

    def advance(self, count: int) -> None:
        """Move the bar on."""
        if self._task is not None:
            self._bars.advance(self._task, count)
