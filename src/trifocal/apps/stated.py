"""What was typed has an effect, or that is said: options by the words of a command line.

A default that nobody typed is never complained about. `Parser` notes in `arguments.stated` which
options were typed; a command says which of them count for nothing, and why.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterable, Mapping

from trifocal.errors import UserError

logger = logging.getLogger(__name__)


def typed(arguments: argparse.Namespace, names: Iterable[str]) -> list[str]:
    """Return those of the options that were typed, as "--top".

    Args:
        arguments: What was parsed.
        names: Names of their values: "top".
    """
    stated: Mapping[str, str] = getattr(arguments, "stated", {})
    return [stated[name] for name in names if name in stated]


def refuse_idle(arguments: argparse.Namespace, names: str, idle: bool, why: str) -> None:
    """Refuse options that were typed and count for nothing.

    Args:
        arguments: What was parsed.
        names: Names of their values, with spaces.
        idle: Whether they count for nothing.
        why: The reason, as a sentence that ends in no point: "the data sets are ready features".

    Raises:
        UserError: one of them was typed, and `idle`.
    """
    found = typed(arguments, names.split()) if idle else []
    if found:
        raise UserError(f"{_listed(found)} no effect, since {why}; leave that out.")


def tell_idle(arguments: argparse.Namespace, names: str, idle: bool, why: str) -> None:
    """Say in one line which options that were typed count for a part alone; see `refuse_idle`."""
    found = typed(arguments, names.split()) if idle else []
    if found:
        logger.warning("%s no effect, since %s", _listed(found), why)


def _listed(options: list[str]) -> str:
    return f"{', '.join(options)} {'has' if len(options) == 1 else 'have'}"
