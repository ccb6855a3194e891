"""`trifocal export`: a model in another library's format."""

from __future__ import annotations

import argparse
from pathlib import Path

from trifocal.clip import save_open_clip, save_pretrained
from trifocal.clip.writing import TRANSFORMERS, check_open_clip
from trifocal.errors import UserError
from trifocal.files import check_apart, check_folder
from trifocal.tuning import load_model

_FILES = (".pt", ".pth", ".bin", ".safetensors", ".json", ".zip")


def run(arguments: argparse.Namespace) -> int:
    """Write the model.

    Raises:
        UserError: the model cannot be had, or not be written in that format, or not there.
    """
    out, whole = arguments.out, arguments.to == "transformers"
    check_apart(out, arguments.model)
    if not whole:
        check_open_clip(out, force=arguments.force)
    elif Path(out).suffix in _FILES:
        raise UserError(f"--to transformers writes a folder, and {out} is a file's name.")
    else:
        check_folder(out, TRANSFORMERS, force=arguments.force)
    clip = load_model(
        arguments.model, activation=arguments.activation, tokenizer=arguments.tokenizer
    )
    (save_pretrained if whole else save_open_clip)(clip, out, force=arguments.force)
    print(f"{arguments.model} is in {out}")
    return 0
