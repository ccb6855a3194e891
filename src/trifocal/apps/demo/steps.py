"""What the tour is doing: which step of how many, and how long each took."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console


class Steps:
    """Counts the steps of a tour and tells of each on a console.

    Attributes:
        console: Where it is said; bars and tables of a step go there, too.
        total: How many steps there will be.
        seconds: What each step took, in order.
    """

    def __init__(self, console: Console, total: int) -> None:
        self.console = console
        self.total = total
        self.seconds: list[float] = []

    @contextmanager
    def step(self, chapter: str, doing: str) -> Iterator[None]:
        """Say what is begun, and when it is done how many seconds it took."""
        place = f"Step {len(self.seconds) + 1} of {self.total}"
        self.console.print(f"[bold]{place}, {chapter}[/bold]: {doing}", highlight=False)
        begun = time.perf_counter()
        yield
        self.seconds.append(time.perf_counter() - begun)
        self.console.print(f"  done in {self.seconds[-1]:.0f} s", highlight=False)
