"""The exceptions that are meant for a user's eyes: a mistake to put right, a run that was stopped."""

from __future__ import annotations

import difflib
import signal
from collections.abc import Iterable


class UserError(ValueError):
    """Something the user can put right: one sentence that says what is wrong and what to do.

    The command line prints the sentence, exits with status 2, and shows no traceback (unless
    `--debug` is given).
    """


class Stopped(Exception):  # noqa: N818 - not an error: the run was asked to stop, and did
    """A run left early, on request, after saving.

    Attributes:
        number: The signal that asked for it.
        step: Steps made so far, all of them saved.
        folder: The run folder.
    """

    def __init__(self, number: int, step: int, folder: str) -> None:
        super().__init__(number, step, folder)
        self.number, self.step, self.folder = number, step, folder

    @property
    def status(self) -> int:
        """The exit status that shells expect: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + self.number

    def __str__(self) -> str:
        return (
            f"stopped by {signal.Signals(self.number).name} after step {self.step}; "
            f"the same command goes on from there ({self.folder})"
        )


def nearest(name: str, known: Iterable[str]) -> str:
    """Return " Did you mean 'x'?" for the closest of `known`, or "" where nothing is close."""
    match = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" Did you mean {match[0]!r}?" if match else ""
