"""`trifocal export`: a model in another library's format."""

from __future__ import annotations

import argparse

from trifocal.clip import save_open_clip, save_pretrained
from trifocal.tuning import load_model


def run(arguments: argparse.Namespace) -> int:
    """Write the model.

    Raises:
        UserError: the model cannot be had, or not be written in that format.
    """
    clip = load_model(
        arguments.model, activation=arguments.activation, tokenizer=arguments.tokenizer
    )
    write = save_pretrained if arguments.to == "transformers" else save_open_clip
    write(clip, arguments.out)
    print(f"{arguments.model} is in {arguments.out}")
    return 0
