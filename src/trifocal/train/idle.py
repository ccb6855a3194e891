"""Fields of a recipe that count for nothing beside what else it says.

A default that nobody wrote is never complained about, nor is one that a run has written down: a
field of a file counts as stated where it differs from its default, one that was typed always.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import is_dataclass
from typing import Any

from trifocal import config
from trifocal.composition.batching import TABLE
from trifocal.composition.labclip import LabClipConfig
from trifocal.composition.options import CaptionOptions
from trifocal.regions.prompts import picture_size
from trifocal.regions.region_tuned import RegionConfig
from trifocal.train.recipe import Recipe

Idle = Iterator[tuple[str, str]]  # a field, or a section with all its fields, and why


def stated_in_vain(
    recipe: Recipe, options: Any, written: Mapping[str, Any], typed: Mapping[str, Any]
) -> dict[str, list[str]]:
    """Return the fields that were stated and count for nothing, by the reason.

    Args:
        recipe: What became of them.
        options: Its method's config.
        written: What the file says.
        typed: What the command line lays over it.
    """
    usual = _leaves(_defaults(recipe, options))
    usual |= _optional(recipe) | _optional(options, "method.")
    stated = [key for key, value in _leaves(written).items() if usual.get(key, value) != value]
    stated = list(dict.fromkeys([*stated, *_leaves(typed)]))
    found: dict[str, list[str]] = {}
    for field, why in idle_fields(recipe, options):
        for key in stated:
            if f"{key}.".startswith(f"{field}."):
                found.setdefault(why, []).append(key)
    return found


def idle_fields(recipe: Recipe, options: Any) -> Idle:
    """Yield the fields, and sections, that count for nothing in a recipe, with the reason."""
    yield from _of_model(recipe)
    yield from _of_negatives(options)
    yield from _of_terms(options)
    yield from _of_tuning(options)
    yield from _of_regions(options)
    yield from _of_data(recipe)
    yield from _of_schedule(recipe)
    yield from _of_frozen_towers(recipe, options)
    yield from _of_evaluation(recipe)
    if recipe.gradient_cache >= recipe.batch_size:
        yield "gradient_cache", "it is no smaller than batch_size"


def _of_model(recipe: Recipe) -> Idle:
    for way in ("shape", "vision"):
        if getattr(recipe.model, way) is not None:
            yield "model.name", f"training starts from model.{way}"


def _of_negatives(options: Any) -> Idle:
    kinds = set(getattr(options, "negatives", ()))
    weights = [getattr(options, f"{what}_weight", None) for what in ("global", "local")]
    if weights == [0, 0]:
        kinds = set()
        for field in ("negatives", "gamma", "smoothing", "missing"):
            yield f"method.{field}", "both weights of negatives are 0"
    if weights[1] == 0:
        yield "method.weighting", "method.local_weight is 0"
    if not kinds - {TABLE}:
        yield "negatives", "the method makes no hard negatives"
    elif "replace" not in kinds:
        yield "negatives.replace_counts", "the method makes no negatives of the kind 'replace'"


def _of_terms(options: Any) -> Idle:
    if not isinstance(options, CaptionOptions):
        return
    for name in ("teacher", "prompts"):
        term = getattr(options, name)
        if term is not None and not term.weight:
            yield f"method.{name}", f"method.{name}.weight is 0"
        elif getattr(term, "share", 1) == 0:
            yield f"method.{name}", f"method.{name}.share is 0"


def _of_frozen_towers(recipe: Recipe, options: Any) -> Idle:
    """Yield what is about a tower that learns, or one that stays, where there is none."""
    images, texts = _learning(options)
    if not texts:
        yield "schedule.text_from", "the text tower stays as it is"
    if recipe.embeddings is None:
        return
    if texts:
        yield "embeddings.texts_gb", "the text tower learns, so its embeddings are not kept"
    if images:
        for field in ("views", "seed", "patches", "cache", "max_gb"):
            why = "the image tower learns, so its embeddings are not kept"
            yield f"embeddings.{field}", why
        return
    data: Any = recipe.data
    drawn = getattr(data, "crop", None) is not None and data.source != "world"
    if not drawn and not getattr(data, "mirror", False):
        yield "embeddings.seed", "all views of a picture are the same"
    if getattr(options, "local_weight", 0) == 0:
        yield "embeddings.patches", "the method reads no patches"


def _learning(options: Any) -> tuple[bool, bool]:
    """Return whether the image tower learns, and whether the text tower does."""
    if isinstance(options, LabClipConfig):
        return False, False
    lora = getattr(options, "lora", None)
    if lora is not None and getattr(options, "tuning", "lora") == "lora":
        return "vision" in lora.towers, "text" in lora.towers
    return getattr(options, "tuning", "full") != "text", True


def _of_tuning(options: Any) -> Idle:
    tuning = getattr(options, "tuning", "lora")
    if tuning != "lora":
        yield "method.lora", f"method.tuning is {tuning!r}"
    elif hasattr(options, "tuning"):
        yield "max_logit_scale", "the logit scale is frozen beside low-rank updates"
    if getattr(options, "words", ""):
        yield "method.tokens", "method.words say how many"
    if getattr(options, "class_specific", True) is False:
        yield "method.classnames", "method.class_specific is false"
    if getattr(options, "trains", "") == "strict_frozen":
        yield "method.edge_lr", "method.trains is 'strict_frozen'"
    adapters = getattr(options, "adapters", None)
    if adapters is None:
        return
    for module, fields in (
        ("msha", ("msha_scale",)),
        ("map", ("map_start",)),
        ("mlp", ("drop_path", "drop_path_axis")),
    ):
        if module not in adapters.modules:
            for field in fields:
                yield f"method.adapters.{field}", f"method.adapters.modules has no {module!r}"
    if "mlp" in adapters.modules and not adapters.drop_path:
        yield "method.adapters.drop_path_axis", "method.adapters.drop_path is 0"


def _of_regions(options: Any) -> Idle:
    if not isinstance(options, RegionConfig):
        return
    if options.loss != "dual":
        yield "method.stacked", f"method.loss is {options.loss!r}"
    height, width = picture_size(options.prompt, 224)
    if height == width:
        yield "method.positions", "the prompt has one slot"
    drawn = options.augmentation
    if not drawn.operations:
        for field in ("level", "probability", "enhance"):
            yield f"method.augmentation.{field}", "method.augmentation.operations is 0"
        if not drawn.flip:
            yield "method.augmentation.share", "nothing is drawn for the slots"
    elif not drawn.probability:
        for field in ("level", "enhance"):
            yield f"method.augmentation.{field}", "method.augmentation.probability is 0"


def _of_data(recipe: Recipe) -> Idle:
    data: Any = recipe.data
    if data.source.startswith("world"):
        yield "data.remember", "the world's pictures are drawn, and lie in no file"
    if data.source == "world":
        yield "data.crop", "the world draws pictures at the model's size"
        if data.single_share == 1:
            yield "data.things", "data.single_share is 1"
    if data.source == "shards" and data.texts is not None:
        yield "data.caption_column", "captions come from data.texts"
    if data.source == "few-shot" and data.dataset is None:
        yield "data.missing", "class folders hold what is there"
    if recipe.data.samples == "classes":
        yield "max_logit_scale", "the logit scale of a method on classes is frozen"


def _of_schedule(recipe: Recipe) -> Idle:
    schedule = recipe.schedule
    if schedule.steps is not None:
        yield "schedule.epochs", "schedule.steps says how long the run is"
    if schedule.by_epoch:
        yield "schedule.warmup_steps", "with schedule.by_epoch, warm-up counts epochs"
    elif schedule.warmup_epochs is not None:
        yield "schedule.warmup_steps", "schedule.warmup_epochs says how long warm-up is"
    steps = 0 if schedule.by_epoch else schedule.warmup_steps
    if not (steps if schedule.warmup_epochs is None else schedule.warmup_epochs):
        yield "schedule.warmup_lr", "there is no warm-up"


def _of_evaluation(recipe: Recipe) -> Idle:
    if not recipe.evaluation and getattr(recipe.data, "held_out", 0) == 0:
        for field in ("eval_every", "monitor", "monitor_mode"):
            yield field, "evaluation names none"
    elif recipe.monitor is None:
        yield "monitor_mode", "monitor names no metric"


def _defaults(recipe: Recipe, options: Any) -> dict[str, Any]:
    """Return what a recipe of these kinds says where nobody says anything."""
    kinds = {"data": recipe.data, "optimizer": recipe.optimizer, "method": options}
    fields = {key: config.fields_of(type(kind)) for key, kind in kinds.items()}
    sections = {
        key: {name: config.default_of(field) for name, field in each.items()}
        for key, each in fields.items()
    }
    return {**config.plain(Recipe()), **config.plain(sections)}


def _optional(owner: Any, where: str = "") -> dict[str, Any]:
    """Return the defaults inside sections that are there, but are not where nobody says anything."""
    found: dict[str, Any] = {}
    for name, field in config.fields_of(type(owner)).items():
        section = getattr(owner, name)
        if is_dataclass(section) and config.default_of(field) is None:
            inside = config.fields_of(type(section)).items()
            found |= {f"{where}{name}.{key}": config.default_of(each) for key, each in inside}
    return found


def _leaves(mapping: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    """Return the values of a nested mapping by their whole keys."""
    found: dict[str, Any] = {}
    for key, value in mapping.items():
        full = f"{where}.{key}" if where else str(key)
        found |= _leaves(value, full) if isinstance(value, Mapping) and value else {full: value}
    return found


def listed(keys: Iterable[str]) -> str:
    """Return fields as the subject of "no effect"."""
    keys = list(keys)
    return f"{', '.join(keys)} {'has' if len(keys) == 1 else 'have'}"
