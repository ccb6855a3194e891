"""A few requests at a time, some that wait, and no more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from trifocal.apps.serve.limits import Limits, Refused

Made = TypeVar("Made")


class Gate:
    """Does work in threads, within limits.

    Work that outlives its request is not stopped (a thread cannot be), so it keeps its place until
    it is done: what waits behind it waits longer, and the machine does no more than `at_once`.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._pool = ThreadPoolExecutor(limits.at_once, thread_name_prefix="serve")
        self._there = 0

    async def do(self, work: Callable[[], Made]) -> Made:
        """Return what the work makes.

        Raises:
            Refused: too many wait already (429), or it took too long (503).
        """
        limits = self._limits
        if self._there >= limits.at_once + limits.queue:
            raise Refused(429, f"{limits.queue} requests wait already; try again in a while.")
        self._there += 1
        future = asyncio.get_running_loop().run_in_executor(self._pool, work)
        future.add_done_callback(self._leave)
        try:
            return await asyncio.wait_for(asyncio.shield(future), limits.seconds)
        except TimeoutError:
            future.cancel()  # nothing is lost where it has not begun
            raise Refused(
                503,
                f"this took longer than {limits.seconds} seconds; try again, or ask for less.",
            ) from None

    def _leave(self, future: asyncio.Future) -> None:
        self._there -= 1
        if not future.cancelled():
            future.exception()  # of a request that nobody waits for any more

    def close(self) -> None:
        """Take no more work."""
        self._pool.shutdown(wait=False, cancel_futures=True)
