"""`trifocal export`: a model in another library's format."""

from __future__ import annotations

import argparse

from trifocal.api.exporting import export
from trifocal.apps.said import say


def run(arguments: argparse.Namespace) -> int:
    """Write the model.

    Raises:
        UserError: the model cannot be had, or not be written in that format, or not there.
    """
    export(
        arguments.model,
        arguments.out,
        arguments.to,
        force=arguments.force,
        activation=arguments.activation,
        tokenizer=arguments.tokenizer,
    )
    facts = {"model": arguments.model, "format": arguments.to, "out": arguments.out}
    say(arguments, f"{arguments.model} is in {arguments.out}", facts)
    return 0
