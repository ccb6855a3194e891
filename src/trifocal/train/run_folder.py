"""The folder of a run: whether it is one of ours, and how it makes room for a new one."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Literal

from trifocal.errors import UserError
from trifocal.files import check_folder
from trifocal.train.checkpoints import Checkpoints

Resume = Literal["auto", "never", "fresh"]

_BEGUN = {"checkpoints", "recipe.yaml"}  # what a run that was killed at once has written


def check_run_folder(folder: Path, resume: Resume = "auto") -> None:
    """Refuse a folder that a run must not be written into; asked before anything is loaded.

    Args:
        folder: The run folder.
        resume: See `train`.

    Raises:
        UserError: it holds other work, or a run that is not to go on or cannot.
    """
    if not folder.is_dir() or not any(folder.iterdir()):
        check_folder(folder, "run")
        return
    steps = Checkpoints(folder).steps()
    if not steps and not _is_run(folder):
        first = min(os.listdir(folder))
        raise UserError(f"{folder} holds other work ({first}) and no run; choose another name.")
    if resume == "never":
        check_new(folder, steps)
    if resume == "auto" and not steps and (folder / "model").exists():
        raise UserError(
            f"{folder} holds a trained model and no checkpoint to go on from; choose another name, "
            'or start over with resume="fresh", which keeps the old folder under another name.'
        )


def check_new(folder: Path, steps: list[int]) -> None:
    """Refuse to go on with a run.

    Raises:
        UserError: the folder holds one, with checkpoints of these steps or with a model.
    """
    if steps or (folder / "model").exists():
        made = f" ({steps[-1]} steps)" if steps else ""
        raise UserError(
            f"{folder} already holds a run{made}; choose another name, or let it go on."
        )


def set_aside(folder: Path) -> Path | None:
    """Rename a run folder to the first free one of NAME.old-1, NAME.old-2, ...; return that."""
    if not folder.is_dir():
        return None
    number = 1
    while (old := folder.with_name(f"{folder.name}.old-{number}")).exists():
        number += 1
    os.rename(folder, old)
    return old


def _is_run(folder: Path) -> bool:
    """Return whether a folder without a checkpoint is a run of ours, be it one just begun."""
    names = {name for name in os.listdir(folder) if not name.endswith(".part")}
    if "checkpoints" in names and names <= _BEGUN:
        return True
    try:
        told = json.loads((folder / "environment.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(told, dict) and "trifocal" in told
