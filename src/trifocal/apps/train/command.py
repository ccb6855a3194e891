"""`trifocal train`: a recipe becomes a run."""

from __future__ import annotations

import argparse
import os
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

from trifocal.apps.said import say
from trifocal.apps.stated import tell_idle
from trifocal.bars import ProgressBars
from trifocal.composition.negatives import KINDS
from trifocal.config import to_yaml
from trifocal.data.captions import CaptionData
from trifocal.devices import pick_device
from trifocal.errors import UnknownKey, UserError, closest
from trifocal.recipes import find_recipe, shipped_recipes
from trifocal.train import build
from trifocal.train.held_out import FILE
from trifocal.train.recipe import Recipe


def run(arguments: argparse.Namespace) -> int:
    """Train the recipe, or print it.

    Raises:
        UserError: the recipe, what it starts from, its data or the device cannot be had.
        Stopped: the run was interrupted, and saved before.
    """
    recipe = _recipe(arguments)
    if arguments.show:
        tell_idle(arguments, "fresh no_resume device json", True, "--print trains nothing")
        print(to_yaml(recipe), end="")
        return 0
    if arguments.fresh and arguments.no_resume:
        raise UserError("--fresh starts over, --no-resume refuses to; give one of them.")
    resume = "fresh" if arguments.fresh else "never" if arguments.no_resume else "auto"
    _keep_to(arguments.device)
    with ProgressBars(quiet=arguments.quiet) as bars:
        outcome = build.run(recipe, resume=resume, progress=bars)
    test = _test_of(recipe, outcome.folder)
    model, following = outcome.folder / "model", f"trifocal eval {outcome.folder} {test}"
    facts = {"run": str(outcome.folder), "model": str(model), "step": outcome.step}
    facts |= {"metrics": outcome.metrics, "best": outcome.best, "next": following}
    say(arguments, f"The model is in {model}; next: {following}", facts)
    return 0


def _test_of(recipe: Recipe, folder: Path) -> str:
    """Return what `trifocal eval` measures a model by: more of what it was trained on."""
    data = recipe.data
    if data.source.startswith("world"):
        return "world_regions" if data.samples == "regions" else "world"
    held_out, root = folder / FILE, getattr(data, "path", "FOLDER")
    if data.samples == "captions":
        told = f"--root {held_out if held_out.exists() else 'HELD_OUT.csv'}"
        learned = recipe.method.get("negatives", ())
        if not learned:
            return f"retrieval {told}"
        kinds = "" if set(learned) == set(KINDS) else f" --option kinds={','.join(learned)}"
        return f"retrieval hard_negatives {told}{kinds}"
    return f"{'zero_shot' if data.samples == 'classes' else data.source} --root {root}"


def _recipe(arguments: argparse.Namespace) -> Recipe:
    """Return the recipe; a field that was typed is called an option."""
    try:
        file = find_recipe(arguments.recipe)
        recipe = build.read_recipe(file, arguments.overrides)
    except UnknownKey as error:
        typed = (word for word in _typed(arguments) if f"{word}.".startswith(f"{error.key}."))
        option = next(typed, None)
        if option is None:  # it stands in the file
            raise
        below = option.removeprefix(error.key)  # ".lr" of optimiser.lr, where optimiser is wrong
        own = closest(f"--{option}", arguments.own_options, 0.75).removeprefix("--")
        near = own or (error.near and error.near + below)
        told = UnknownKey(option, near, error.known, error.owner).told("unknown option", "--")
        raise UserError(told) from None
    return _on_own_photos(recipe, file, {*_typed(arguments)})


def _on_own_photos(recipe: Recipe, file: Path, typed: Collection[str]) -> Recipe:
    """Return a recipe that ships with us and is to train on a file of one's own.

    What it says of its own file, that no photo of it is held out, is of that file alone.
    """
    shipped = file in shipped_recipes().values()
    if not shipped or "data.path" not in typed or "data.held_out" in typed:
        return recipe
    if not isinstance(recipe.data, CaptionData) or recipe.data.held_out != 0:
        return recipe
    return replace(recipe, data=replace(recipe.data, held_out=None))


def _typed(arguments: argparse.Namespace) -> Iterator[str]:
    """Yield the fields of the recipe that the command line names."""
    for word in arguments.overrides:
        if word.startswith("--"):
            yield word[2:].partition("=")[0].replace("-", "_")


def _keep_to(device: str) -> None:
    """See to it that training, which finds its devices itself, uses the one that was asked for.

    Raises:
        UserError: it would use another.
    """
    if device == "cpu":
        os.environ["ACCELERATE_USE_CPU"] = "true"
    elif device not in ("auto", found := pick_device("auto")):
        raise UserError(
            f"training cannot be told to use {device!r}: it takes all GPUs that it sees, here "
            f"{found}; give --device cpu, or choose GPUs by CUDA_VISIBLE_DEVICES."
        )
