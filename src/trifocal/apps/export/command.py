"""`trifocal export`: a model in another library's format."""

from __future__ import annotations

import argparse

from trifocal.api.exporting import export


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
    print(f"{arguments.model} is in {arguments.out}")
    return 0
