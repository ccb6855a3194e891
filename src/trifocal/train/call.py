"""`trifocal.train(...)`: a recipe becomes a trained model."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from trifocal.data.pairs import PairData, Pairs
from trifocal.data.section import CaptionedSection
from trifocal.progress import Progress
from trifocal.recipes import find_recipe
from trifocal.train import build
from trifocal.train.engine import Outcome
from trifocal.train.recipe import Recipe, load_recipe
from trifocal.train.run_folder import Resume


def train(
    recipe: str | os.PathLike[str] | Recipe | None = None,
    data: Any = None,
    *,
    resume: Resume = "auto",
    progress: Progress | None = None,
    **settings: Any,
) -> Outcome:
    """Train a model; `trifocal.load(outcome.folder)` is the result.

    Args:
        recipe: The name of a shipped recipe (`trifocal list recipes`), a YAML file, or a `Recipe`;
            None for the defaults, plain fine-tuning of the built-in model.
        data: Your own pictures and captions in place of the recipe's: a list or a
            `torch.utils.data.Dataset` with a length, whose items are pairs (picture, text or texts)
            or tables {"image": ..., "caption": ...}. Pictures are what `Model.encode_images` takes.
            With several texts one is drawn each time.
        resume: "auto" goes on with a run that is in the folder, "never" refuses to, "fresh" starts
            over and keeps the old one beside it.
        progress: Told of every step.
        settings: Fields of the recipe that differ: `batch_size=64`, `schedule={"epochs": 2}`,
            `method={"name": "fsc_clip"}`.

    Returns:
        An `Outcome`: the run folder, the steps made, the last evaluation.

    Raises:
        UserError: the recipe, a setting, the model or the data do not do.
        TypeError: `data` has no pairs of pictures and texts.

    Example:
        >>> import numpy as np, trifocal
        >>> pairs = [("new.jpg", "a red square"), (np.zeros((64, 64, 3), np.uint8), "a black square")]
        >>> outcome = trifocal.train(
        ...     data=pairs, name="mine", batch_size=2, workers=0, schedule={"steps": 1}
        ... )
        >>> trifocal.load(outcome.folder).encode_text("a square").shape
        torch.Size([128])
    """
    chosen = _recipe(recipe, settings)
    if data is None:
        return build.run(chosen, resume=resume, progress=progress)
    pairs = Pairs(data)
    old = chosen.data
    kept = {"crop": old.crop, "mirror": old.mirror} if isinstance(old, CaptionedSection) else {}
    section = PairData(
        count=len(pairs), bad_image_share=old.bad_image_share, remember=old.remember, **kept
    )
    chosen = replace(chosen, data=section)
    return build.run(chosen, resume=resume, progress=progress, source=pairs)


def _recipe(recipe: str | os.PathLike[str] | Recipe | None, settings: Mapping[str, Any]) -> Recipe:
    words = list(_words(settings))
    if isinstance(recipe, Recipe):
        if settings:
            raise TypeError("a Recipe is whole; change it by dataclasses.replace, not by settings.")
        return recipe
    if recipe is None:
        return load_recipe(None, words, build.METHODS)
    return build.read_recipe(find_recipe(os.fspath(recipe)), words)


def _words(settings: Mapping[str, Any], before: str = "") -> Iterator[str]:
    """Yield nested settings as the words of a command line."""
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _words(value, f"{before}{key}.")
        else:
            yield f"--{before}{key}={json.dumps(value)}"
