"""How a long job tells whoever watches how far it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, TypeVar

Item = TypeVar("Item")


class Progress(Protocol):
    """Is told how a long job goes."""

    def start(self, what: str, total: int) -> None:
        """Begin a job of `total` steps."""
        ...

    def advance(self, count: int) -> None:
        """Note that `count` more steps are done."""
        ...


class Quiet:
    """Progress that nobody watches."""

    def start(self, what: str, total: int) -> None:
        """Say nothing."""

    def advance(self, count: int) -> None:
        """Say nothing."""


class Onward:
    """Progress of a part of a job: moves the whole job's bar, and starts none of its own."""

    def __init__(self, whole: Progress) -> None:
        self._whole = whole

    def start(self, what: str, total: int) -> None:
        """Say nothing."""

    def advance(self, count: int) -> None:
        """Move the whole job on."""
        self._whole.advance(count)


def counted(items: Sequence[Item], what: str, progress: Progress) -> Iterator[Item]:
    """Yield the items of a job that takes one step for each."""
    progress.start(what, len(items))
    for item in items:
        yield item
        progress.advance(1)
