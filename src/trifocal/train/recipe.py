"""What a training run is told: one frozen dataclass, read from a YAML file.

Every field can be overridden on the command line (`--optimizer.lr 1e-5`). Three sections have a key
that says which of several kinds they are: `method` and `optimizer` their `name`, `data` its
`source`; the other fields are those of that kind. The defaults of the schedule are those of FSC-CLIP
(Oh et al., EMNLP 2024, arXiv 2410.05210): 50 warm-up steps, 5 epochs.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from trifocal import config
from trifocal.clip.image_tower import Pixels
from trifocal.clip.own_clip import TextShape
from trifocal.clip.shape import ClipShape
from trifocal.errors import UserError
from trifocal.train.embeddings import EmbeddingsRecipe
from trifocal.train.flat import sorted_out
from trifocal.train.optimizer import AdamWConfig, Optimizer
from trifocal.train.sources import Data
from trifocal.train.trackers import Tracker
from trifocal.world.source import WorldData

logger = logging.getLogger(__name__)

Methods = Mapping[str, tuple[type, type]]  # config dataclass and method class by name
_SECTIONS = {"data": config.kinds_of(Data), "optimizer": config.kinds_of(Optimizer)}


@dataclass(frozen=True)
class ModelRecipe:
    """The model that training starts from: `name`, `vision` or `shape` (see `train/start.py`)."""

    name: str = "builtin"  # what `load_clip` knows; not read where `vision` or `shape` is given
    # Start from random weights of this shape instead (an empty one is ViT-B-32).
    shape: ClipShape | None = None
    fresh_text: bool = False  # keep the named model's image tower only; draw its text tower anew
    # Build a CLIP around this image tower instead: a folder or a Hub id.
    vision: str | None = None
    # How the tower's pixels are normalized, where no file beside it says so.
    pixels: Pixels | None = None
    text: TextShape = field(default_factory=TextShape)  # of the CLIP that is built around `vision`
    # Its ids: "clip" for CLIP's own 49 408, "data" to learn some from the captions, or the folder
    # or file of a tokenizer.
    vocabulary: str = "clip"
    embed_dim: int | None = None  # its joint space; by default as wide as what the tower gives
    # Pictures of the data over which each output of the tower gets mean 0 and deviation 1, 0 to
    # leave the outputs as they are.
    standardize: int = 0

    def __post_init__(self) -> None:
        config.at_least(self, {"embed_dim": 1, "standardize": 0}, "model")
        if self.vision is not None and self.shape is not None:
            raise UserError("model has both vision and shape; say one way to begin.")
        if self.fresh_text and (self.vision is not None or self.shape is not None):
            raise UserError("model.fresh_text goes with model.name; leave vision and shape out.")
        if self.vision is None:
            usual = {"pixels": None, "text": TextShape(), "vocabulary": "clip"}
            usual |= {"embed_dim": None, "standardize": 0}
            for name, default in usual.items():
                if getattr(self, name) != default:
                    raise UserError(
                        f"model.{name} is of a CLIP that is built around an image tower; set "
                        f"model.vision to that tower, or leave model.{name} out."
                    )


@dataclass(frozen=True)
class NegativesRecipe:
    """How hard negatives are made (which kinds is the method's own setting)."""

    parser: str = "auto"  # what reads a caption's grammar
    cache: str | None = None  # a folder that keeps parses between runs
    # What `replace` weighs words by: WordNet's counts of each sense, or those of FSC-CLIP's
    # released code, which mixes senses up (see `PublishedWordNet`).
    replace_counts: Literal["senses", "published"] = "senses"


@dataclass(frozen=True)
class ScheduleRecipe:
    """Warm-up, then half a cosine."""

    warmup_steps: int = 50  # steps until the full learning rate
    warmup_epochs: int | None = None  # epochs until then, instead of steps
    # A constant rate during warm-up; without it the rate rises linearly.
    warmup_lr: float | None = None
    final_lr: float = 0.0  # where the cosine ends
    # Change the rate between epochs only, with CoOp's cosine over all of them.
    by_epoch: bool = False
    epochs: int = 5  # how often the data are seen; not read where `steps` is given
    steps: int | None = None  # the number of optimizer steps
    text_from: int = 0  # the step from which on the text tower learns; until then it stays as it is

    def __post_init__(self) -> None:
        least = {
            "warmup_steps": 0, "warmup_epochs": 0, "warmup_lr": 0, "final_lr": 0, "epochs": 1,
            "steps": 1, "text_from": 0,
        }  # fmt: skip
        config.at_least(self, least, "schedule")


@dataclass(frozen=True)
class Recipe:
    """A training run."""

    name: str = "run"  # the run's name; its folder is `output`/`name`
    model: ModelRecipe = field(default_factory=ModelRecipe)  # what training starts from
    # `{name: ..., **options}`, the options being the fields of the method's config.
    method: dict[str, Any] = field(default_factory=lambda: {"name": "finetune"})
    data: Data = field(default_factory=WorldData)  # where samples come from
    # How hard negatives are made.
    negatives: NegativesRecipe = field(default_factory=NegativesRecipe)
    optimizer: Optimizer = field(default_factory=AdamWConfig)  # how gradients become steps
    # The length of the run and its learning rate.
    schedule: ScheduleRecipe = field(default_factory=ScheduleRecipe)
    batch_size: int = 256  # pictures in one contrastive batch, over all processes together
    # Batches whose gradients are averaged before a step. Each keeps to its own contrasts;
    # `gradient_cache` is what makes one large contrastive batch.
    accumulation: int = 1
    # Encode a process's batch in pieces of this many pictures, with the exact gradient of the
    # whole, 0 to encode it in one piece.
    gradient_cache: int = 0
    # Of the towers; "auto" takes fp32 on a CPU, bf16 on a GPU that has it, else fp16.
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    # Compute what a frozen tower gives once instead of in every step; null for every step.
    embeddings: EmbeddingsRecipe | None = None
    # Spread parameters, gradients and optimizer state over all processes (FSDP), for models that
    # one GPU cannot train.
    sharding: Literal["none", "full"] = "none"
    # Recompute activations in the backward pass to save memory.
    gradient_checkpointing: bool = False
    compile: bool = False  # compile the towers' blocks
    max_logit_scale: float = math.log(100)  # the logit scale's upper bound, as a logarithm (ln 100)
    clip_grad_norm: float | None = None  # scale gradients down to this norm, null for never
    seed: int = 0  # of data order, draws and dropout
    workers: int = 2  # processes that prepare batches, for each training process; a core each
    log_every: int = 10  # steps between two log lines
    trackers: tuple[Tracker, ...] = ("tensorboard",)  # what draws curves: tensorboard, wandb
    checkpoint_every: int = 500  # steps between two checkpoints, 0 for one at the end only
    keep: int = 1  # how many of the latest checkpoints stay (the best one stays beside them)
    # Steps between two evaluations, 0 for one at the end only; where `data.held_out` is left open and
    # holds photos out, 0 is a tenth of the run.
    eval_every: int = 0
    evaluation: tuple[str, ...] = ()  # the evaluations to make
    monitor: str | None = None  # the metric that chooses the best checkpoint, `evaluation/metric`
    monitor_mode: Literal["max", "min"] = "max"  # whether more or less of it is better
    # Evaluations in a row that bring no better value of `monitor`, after which training ends with
    # the best weights; null for the whole schedule.
    patience: int | None = None
    output: str = "runs"  # the folder for runs

    def __post_init__(self) -> None:
        least = {
            "batch_size": 1, "accumulation": 1, "gradient_cache": 0, "workers": 0, "log_every": 1,
            "checkpoint_every": 0, "keep": 1, "eval_every": 0, "seed": 0, "max_logit_scale": 0,
            "clip_grad_norm": 0, "patience": 1,
        }  # fmt: skip
        config.at_least(self, least)
        if self.patience is not None and not (self.monitor and self.eval_every):
            raise UserError(
                "patience waits for a better value of monitor, measured every eval_every steps; "
                "set both."
            )
        if not self.name or self.name in (".", "..") or set(self.name) & set("/\\\0"):
            raise UserError(f"name is {self.name!r}; it names a folder, so use a plain word.")

    @property
    def folder(self) -> str:
        """The run folder."""
        return os.path.join(self.output, self.name)


# What may differ between a run and its continuation: none of it changes the numbers.
HARMLESS = frozenset(
    {
        "name", "workers", "log_every", "trackers", "checkpoint_every", "keep", "eval_every", "evaluation",
        "monitor", "monitor_mode", "patience", "output", "data.images", "data.vg", "data.vcr", "data.texts", "data.bad_image_share",
        "data.remember", "sharding", "gradient_checkpointing", "compile", "negatives.cache",
        "embeddings.cache", "embeddings.max_gb", "embeddings.texts_gb",
    }
)  # fmt: skip


def load_recipe(
    path: str | os.PathLike[str] | None,
    overrides: Sequence[str] = (),
    methods: Methods | None = None,
) -> Recipe:
    """Read a recipe, lay command-line overrides over it, and check all of it.

    An override that names another method, source or optimizer than the file does keeps of the
    file's fields those that the new one has too.

    Args:
        path: The YAML file, or None for the defaults.
        overrides: Words such as `["--optimizer.lr", "1e-5"]`.
        methods: Where given, the method's options are checked and completed.

    Raises:
        UserError: the file cannot be read, or a key or value in it is wrong.
    """
    return completed(config.merge(*recipe_parts(path, overrides, methods)), methods)


def recipe_parts(
    path: str | os.PathLike[str] | None,
    overrides: Sequence[str] = (),
    methods: Methods | None = None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what the file says and what is laid over it; see `load_recipe`."""
    written = _with_names(config.read_yaml(path) if path is not None else {})
    if path is not None and not written:
        raise UserError(f"the recipe {path} is empty; give at least a name, such as `name: mine`.")
    change = _with_names(config.parse_overrides(overrides))
    sections = {**_SECTIONS}
    if methods is not None:
        sections["method"] = ("name", {name: options for name, (options, _) in methods.items()})
    written, old_form = sorted_out(written, _SECTIONS)
    if old_form:
        logger.warning("%s is of the flat form of version 0.1; it now reads\n%s", path, old_form)
    for key, (tag, kinds) in sections.items():
        if isinstance(written.get(key), dict) and isinstance(change.get(key), dict):
            written[key] = config.carried_over(written[key], change[key], tag, kinds)
    return written, change


def saved_recipe(mapping: Mapping[str, Any], methods: Methods | None = None) -> Recipe:
    """Return the recipe of which a run has kept `mapping`; fields newer than the run get defaults.

    Args:
        mapping: As YAML or JSON holds it.
        methods: See `load_recipe`.

    Raises:
        UserError: it is of a later version.
    """
    sorted_, _ = sorted_out(mapping, _SECTIONS)
    data = sorted_.get("data")
    if isinstance(data, Mapping) and data.get("source") == "captions":
        sorted_ = {**sorted_, "data": {"held_out": 0, **data}}  # before 0.2 nothing was held out
    return completed(sorted_, methods)


def completed(mapping: Mapping[str, Any], methods: Methods | None) -> Recipe:
    """Return the recipe that a mapping describes, its method's options filled in."""
    recipe = config.build(Recipe, mapping)
    if methods is None:
        return recipe
    options, _ = resolve_method(recipe, methods)
    return replace(recipe, method={"name": recipe.method["name"], **config.plain(options)})


def resolve_method(recipe: Recipe, methods: Methods) -> tuple[Any, type]:
    """Return the method's filled-in config and its class.

    Raises:
        UserError: no such method, or an option that it does not have.
    """
    kinds = {name: options for name, (options, _) in methods.items()}
    options = config.build_kind(kinds, "name", recipe.method, "method")
    return options, methods[recipe.method["name"]][1]


def _with_names(mapping: dict[str, Any]) -> dict[str, Any]:
    """Read `method: rca` as `method: {name: rca}`, and an optimizer alike."""
    short = {key: {"name": mapping[key]} for key in ("method", "optimizer") if key in mapping}
    return {
        **mapping,
        **{key: full for key, full in short.items() if isinstance(full["name"], str)},
    }
