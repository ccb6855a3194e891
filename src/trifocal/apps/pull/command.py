"""`trifocal pull`: a model, an adaptation or a classifier from the Hub."""

from __future__ import annotations

import argparse

from trifocal.api.hub_sharing import pull
from trifocal.apps.said import say


def run(arguments: argparse.Namespace) -> int:
    """Pull, and say where it is.

    Raises:
        UserError: there is no such thing on the Hub, or it cannot be written.
    """
    folder = pull(arguments.repo, arguments.out, revision=arguments.revision, force=arguments.force)
    facts = {"repo": arguments.repo, "folder": str(folder)}
    say(arguments, f"{arguments.repo} is in {folder}", facts)
    return 0
