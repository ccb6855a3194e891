"""From a recipe to the objects of a run: method, source, batches, evaluations (model: `start.py`).

This is the one place that knows every focus's methods by name.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from trifocal import config
from trifocal.clip import Clip
from trifocal.composition.batching import TABLE, Negatives
from trifocal.composition.caption_tuned import CaptionTuned
from trifocal.composition.registry import METHODS as COMPOSITION
from trifocal.concepts.class_tuned import ClassTuned
from trifocal.concepts.few_shot_data import FewShotData
from trifocal.concepts.registry import METHODS as CONCEPTS
from trifocal.data.batching import Batching
from trifocal.data.captions import CaptionDataset
from trifocal.data.samples import Source
from trifocal.data.section import CaptionedSection, CroppedSection
from trifocal.errors import UserError
from trifocal.metrics.result import Result
from trifocal.plugins import Registry
from trifocal.processes import is_first
from trifocal.progress import Progress
from trifocal.regions.region_tuned import RegionTuned
from trifocal.regions.registry import METHODS as REGIONS
from trifocal.train.begun import as_begun
from trifocal.train.engine import Evaluator, Outcome, train
from trifocal.train.held_out import HELD_OUT, HeldOut
from trifocal.train.idle import listed, stated_in_vain
from trifocal.train.recipe import Recipe, completed, recipe_parts, resolve_method
from trifocal.train.run_folder import Resume, check_run_folder
from trifocal.train.sources import Data
from trifocal.train.start import build_model
from trifocal.tuning.method import Method
from trifocal.tuning.tuned_clip import TunedClip
from trifocal.world.few_shot import FEW_SHOT_CLASSES, FEW_SHOT_TEMPLATES, few_shot_dataset
from trifocal.world.few_shot_source import WorldFewShotData

if TYPE_CHECKING:
    from trifocal.evaluate.benchmarks.zero_shot import ClassItems

logger = logging.getLogger(__name__)

METHODS: Registry[tuple[type, type[TunedClip]]] = Registry(
    "method", {**COMPOSITION, **REGIONS, **CONCEPTS}
)

_WORLD_TESTS = 20  # pictures of each few-shot class of the world


def read_recipe(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe, and say which of its fields were stated and count for nothing.

    Args:
        path: The YAML file.
        overrides: Words such as `["--optimizer.lr", "1e-5"]`.

    Raises:
        UserError: see `load_recipe`.
    """
    written, typed = recipe_parts(path, overrides, METHODS)
    recipe = completed(config.merge(written, typed), METHODS)
    options, _ = resolve_method(recipe, METHODS)
    for why, keys in stated_in_vain(recipe, options, written, typed).items():
        logger.warning("%s no effect, since %s", listed(keys), why)
    return recipe


def build_method(recipe: Recipe, clip: Clip, classnames: tuple[str, ...] = ()) -> TunedClip:
    """Build what is trained on a model.

    Args:
        recipe: Its method.
        clip: The model.
        classnames: The classes of the data, for a method whose parameters belong to classes.
    """
    config, method = resolve_method(recipe, METHODS)
    if classnames and getattr(config, "classnames", None) == ():
        config = replace(config, classnames=classnames)
    torch.manual_seed(recipe.seed)  # what the method adds, such as LoRA's factors, is drawn here
    return method(clip, config)


def build_batching(recipe: Recipe, method: TunedClip) -> Batching:
    """Make a method's batching: crops are the data's, hard negatives the recipe's, the rest its own."""
    if isinstance(method, RegionTuned):
        return method.batching()
    assert isinstance(recipe.data, CroppedSection)  # as whole pictures are
    transform = recipe.data.transform(method.clip.preprocess)
    if isinstance(method, ClassTuned):
        return method.batching(transform)
    assert isinstance(method, CaptionTuned)
    assert isinstance(recipe.data, CaptionedSection)
    negatives = _negatives(recipe, method.negative_kinds)
    return method.batching(transform, negatives, flip=recipe.data.mirror)


def _negatives(recipe: Recipe, kinds: Iterable[str]) -> Negatives | None:
    """Return the maker of hard negatives, or None where none are to be made."""
    from trifocal.composition.negatives import HardNegatives

    made = tuple(kind for kind in kinds if kind != TABLE)
    if not made:
        return None  # those that the caption table holds are drawn by the loader
    cache = recipe.negatives.cache
    return HardNegatives(
        made,
        parser=recipe.negatives.parser,
        seed=recipe.seed,
        store=Path(cache, "parses.sqlite") if cache else None,
        lexicon="published" if recipe.negatives.replace_counts == "published" else "auto",
    )


def build_evaluators(recipe: Recipe) -> dict[str, Evaluator]:
    """Return the evaluations a recipe names.

    They are `world`, `few_shot` (test pictures of the classes that `data` has), or `benchmark=folder
    of its data`.

    On the world a model is judged by the validation scenes; the test scenes stay unseen. Metrics
    are named `task/metric`; on the world they are the few that a comparison is about.
    """
    from trifocal.evaluate.benchmarks.world import world_suite
    from trifocal.evaluate.benchmarks.world_regions import WorldRegions
    from trifocal.evaluate.benchmarks.zero_shot import as_trained, score_classes
    from trifocal.evaluate.runner import evaluate, make_job
    from trifocal.evaluate.summary import summarize

    def score_world(method: Method) -> dict[str, float]:
        return summarize(world_suite(method, split="val"))

    def score_few_shot(method: Method) -> dict[str, float]:
        items = few_shot_items(recipe.data, method.clip.image_size)
        return _named(score_classes(method, as_trained(method, items)))

    def scorer(name: str, root: str | None) -> Evaluator:
        options = {"split": "val"} if name == WorldRegions.name else {}

        def score(method: Method) -> dict[str, float]:
            return _named(evaluate(method, [make_job(name, root, **options)]))

        return score

    found: dict[str, Evaluator] = {}
    for entry in recipe.evaluation:
        name, _, root = entry.partition("=")
        known = {"world": score_world, "few_shot": score_few_shot}
        found[name] = known[name] if name in known else scorer(name, root or None)
    if (recipe.monitor or "").startswith("few_shot/"):
        raise UserError(
            "monitor is of few_shot, but that is measured on test pictures, by which nothing may be "
            "selected; leave monitor out."
        )
    return found


def few_shot_items(data: Data, image_size: tuple[int, int]) -> ClassItems:
    """Return the pictures that a few-shot recipe is judged by; on the world, validation scenes.

    Raises:
        UserError: `data` has no classes, or no test pictures.
    """
    from trifocal.evaluate.benchmarks.zero_shot import ClassItems, items_to_test

    if isinstance(data, FewShotData):
        return items_to_test(data.read())
    if not isinstance(data, WorldFewShotData):
        raise UserError(f"evaluation few_shot wants classes, but data.source is {data.source!r}.")
    items = few_shot_dataset(_WORLD_TESTS, data.seed, "val")
    return ClassItems(
        "world/few_shot",
        [item.picture(image_size) for item in items],
        [item.label for item in items],
        [one.name for one in FEW_SHOT_CLASSES],
        FEW_SHOT_TEMPLATES,
    )


def _named(rows: list[Result]) -> dict[str, float]:
    return {f"{row.task}/{row.metric}": row.value for row in rows}


def run(
    recipe: Recipe,
    *,
    resume: Resume = "auto",
    progress: Progress | None = None,
    source: Source | None = None,
) -> Outcome:
    """Train a recipe from start to end (or from where it was interrupted).

    Args:
        recipe: What to do.
        resume: "auto" goes on with a run that is there, "never" refuses to, "fresh" starts over
            and keeps the old folder as NAME.old-1.
        progress: Told of every step.
        source: What to train on in place of what the recipe's data open.

    Returns:
        The run folder, with the trained model in `model/`.
    """
    check_run_folder(Path(recipe.folder), resume)
    _, kind = resolve_method(recipe, METHODS)
    given, wanted = recipe.data.samples, kind.samples
    if given != wanted:
        raise UserError(
            f"the method {recipe.method['name']!r} learns from {wanted}, but data.source "
            f"{recipe.data.source!r} has {given}."
        )
    if resume == "auto":
        recipe = as_begun(recipe)
    clip = build_model(recipe)
    source = recipe.data.open(clip.image_size) if source is None else source
    method = build_method(recipe, clip, getattr(source, "classnames", ()))
    if isinstance(method, CaptionTuned):
        method.look_over(source)
        if recipe.sharding == "full" and method.reads_base_in_place:
            raise UserError(
                "method.distill beside LoRA reads weights that sharding has spread over the "
                "processes; set sharding to none."
            )
    evaluators = build_evaluators(recipe)
    held_out = None
    if isinstance(source, CaptionDataset) and source.held_out:
        held_out = HeldOut(source.held_out, most_left_out=recipe.data.bad_image_share)
        evaluators = {HELD_OUT: held_out, **evaluators}
    outcome = train(
        method,
        source,
        build_batching(recipe, method),
        recipe,
        evaluators=evaluators,
        resume=resume,
        progress=progress,
        methods=METHODS,
    )
    if held_out is not None and is_first():
        held_out.write(outcome.folder)
    return outcome
