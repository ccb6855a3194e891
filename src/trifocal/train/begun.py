"""A run that goes on holds out what it held out when it was begun, be that by an older version."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from trifocal.data.captions import CaptionData
from trifocal.train.checkpoints import Checkpoints
from trifocal.train.recipe import Recipe, saved_recipe


def as_begun(recipe: Recipe) -> Recipe:
    """Return a recipe that leaves `data.held_out` open as its run folder's last checkpoint has it.

    Raises:
        UserError: the checkpoint cannot be read.
    """
    if not isinstance(recipe.data, CaptionData) or recipe.data.held_out is not None:
        return recipe
    checkpoints = Checkpoints(Path(recipe.folder))
    steps = checkpoints.steps()
    begun = saved_recipe(checkpoints.read(steps[-1])["recipe"]).data if steps else None
    if not isinstance(begun, CaptionData):
        return recipe
    return replace(recipe, data=replace(recipe.data, held_out=begun.held_out))
