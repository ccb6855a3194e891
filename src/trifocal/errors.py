"""The one exception that is meant for a user's eyes."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """Something the user can put right: one sentence that says what is wrong and what to do.

    The command line prints the sentence, exits with status 2, and shows no traceback (unless
    `--debug` is given).
    """


def nearest(name: str, known: Iterable[str]) -> str:
    """Return " Did you mean 'x'?" for the closest of `known`, or "" where nothing is close."""
    match = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" Did you mean {match[0]!r}?" if match else ""
