"""The engine: a recipe, a method, a source of captioned pictures, and a run folder."""

from __future__ import annotations

from trifocal.called import let_be_called
from trifocal.errors import Stopped
from trifocal.train.engine import NonFiniteLoss, Outcome, train
from trifocal.train.recipe import Recipe, load_recipe, resolve_method

__all__ = [
    "NonFiniteLoss",
    "Outcome",
    "Recipe",
    "Stopped",
    "load_recipe",
    "resolve_method",
    "train",
]

let_be_called(__name__, "call")
