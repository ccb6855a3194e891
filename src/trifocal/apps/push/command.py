"""`trifocal push`: a model, an adaptation or a classifier onto the Hub."""

from __future__ import annotations

import argparse

from trifocal.api.hub_sharing import push
from trifocal.apps.said import say


def run(arguments: argparse.Namespace) -> int:
    """Push, and say where it is.

    Raises:
        UserError: there is nothing to push, or the Hub refuses.
    """
    address = push(
        arguments.folder,
        arguments.repo,
        license=arguments.license,
        results=arguments.results,
        pictures=arguments.pictures,
        private=not arguments.public,
        revision=arguments.revision,
    )
    words = f"{arguments.folder} is at {address}; next: trifocal pull {arguments.repo}"
    say(arguments, words, {"folder": arguments.folder, "address": str(address)})
    return 0
