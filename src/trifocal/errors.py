"""The exceptions that are meant for a user's eyes: a mistake to put right, a run that was stopped."""

from __future__ import annotations

import difflib
import signal
from collections.abc import Iterable


class UserError(ValueError):
    """Something the user can put right: one sentence that says what is wrong and what to do.

    The command line prints the sentence, exits with status 2, and shows no traceback (unless
    `--debug` is given).

    Example:
        >>> import trifocal
        >>> try:
        ...     trifocal.load("no-such-model")
        ... except trifocal.UserError as error:
        ...     print("no-such-model" in str(error))
        True
    """


class UnknownKey(UserError):  # noqa: N818 - it is told, not handled
    """A key that a configuration does not have.

    Attributes:
        key: The key, whole ("method.gama").
        near: The nearest one that it has, whole; empty where nothing is close.
        known: The keys that stand where it stood, to be told where nothing is close.
        owner: Whose key it is, if it is that of another configuration.
    """

    def __init__(
        self, key: str, near: str = "", known: Iterable[str] = (), owner: str = ""
    ) -> None:
        super().__init__(key, near, known, owner)
        self.key, self.near, self.known, self.owner = key, near, tuple(known), owner

    def __str__(self) -> str:
        return self.told("unknown key")

    def told(self, what: str, dashes: str = "") -> str:
        """Return the sentence for a reader who calls keys something else, such as "--key"."""
        listed = f"Known keys: {', '.join(self.known)}." if self.known else "There are none here."
        hint = f"Did you mean '{dashes}{self.near}'?" if self.near else listed
        owner = f": it belongs to {self.owner}" if self.owner else ""
        return f"{what} '{dashes}{self.key}'{owner}. {hint}"


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


def install(extra: str) -> str:
    """Return the command that installs an optional part of this package, in backquotes.

    It works wherever the package came from: pip takes the part from what is installed.
    """
    return f"`pip install 'trifocal[{extra}]'`"


def closest(name: str, known: Iterable[str], cutoff: float = 0.5) -> str:
    """Return the one of `known` that is most like `name`, or "" where nothing is close."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)), "")


def nearest(name: str, known: Iterable[str]) -> str:
    """Return " Did you mean 'x'?" for the closest of `known`, or "" where nothing is close."""
    match = closest(name, known)
    return f" Did you mean {match!r}?" if match else ""
