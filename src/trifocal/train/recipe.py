"""What a training run is told: one frozen dataclass, read from a YAML file.

Every field has a default and can be overridden on the command line (`--optimizer.lr 1e-5`). The
defaults of the optimizer and the schedule are those of FSC-CLIP (Oh et al., EMNLP 2024, arXiv
2410.05210): AdamW with betas (0.9, 0.98), eps 1e-6, weight decay 0.1, 50 warm-up steps, 5 epochs.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from trifocal import config
from trifocal.clip.shape import ClipShape
from trifocal.errors import UserError, nearest


@dataclass(frozen=True)
class ModelRecipe:
    """The model that training starts from.

    Attributes:
        name: A name or a path that `load_clip` knows; not read where `shape` is given.
        shape: Start from random weights of this shape instead (an empty one is ViT-B-32).
        fresh_text: Keep the named model's image tower only; draw its text tower anew.
    """

    name: str = "builtin"
    shape: ClipShape | None = None
    fresh_text: bool = False


@dataclass(frozen=True)
class DataRecipe:
    """Where captioned pictures, pictures with regions, or pictures with classes come from.

    Attributes:
        source: The built-in world, a file of captions with a folder of images, or WebDataset
            shards. For methods on regions: a file in Sherlock's layout, or the world's regions
            with inferences ("world-abduction") or with expressions ("world-referring"). For
            methods on classes: a "few-shot" draw from a data set, or from the world's classes
            with invented names ("world-few-shot").
        path: The annotation file or folder; for shards a pattern such as `data/{0000..0099}.tar`;
            for "few-shot" the folder that holds the data set's, or any folder of class folders.
        dataset: For "few-shot": the data set's key, such as "eurosat"; null for class folders.
        shots: Pictures of each few-shot class to train on (all where there are fewer).
        val_first: For "few-shot": draw validation pictures before those to train on, as the
            authors of CLIP-LoRA do; the same seed then gives other pictures. They are not used.
        images: The folder that image paths of the annotation file start from (by default the
            file's own folder).
        vg, vcr: For Sherlock: the folders of Visual Genome's and of VCR's pictures.
        texts: For shards: a folder of `<stem>.txt` to take captions from instead.
        format: The form of the caption file.
        split: The part to train on: of the world, or of a Karpathy file (`train+restval`).
        image_column, caption_column: Columns of a table, where they cannot be guessed.
        captions: With several captions an image, draw one anew each epoch, keep the first, or
            make each a sample of its own.
        missing: Refuse a file whose pictures are not all there, or leave those out.
        crop: Bounds of the random crop's share of the image's area; null for a centered crop.
        draft: Let JPEG decode at a reduced scale that still covers the model's image size. It is
            faster and changes pixels slightly.
        size: The number of scenes of the world.
        single_share: The share of the world's scenes that show one thing only.
        things: How many things the others show; by default two to four.
        wording: How the world's captions are written: "curated" ones relate things to each
            other, those of the "web" name a thing or two, a "list" goes through the picture in
            the order of reading.
        seed: Which scenes of the world, or which few-shot pictures, are drawn.
        bad_image_share: The run fails when more than this share of the pictures is unreadable.
    """

    source: Literal[
        "world", "captions", "shards", "sherlock", "world-abduction", "world-referring",
        "few-shot", "world-few-shot",
    ] = "world"  # fmt: skip
    path: str | None = None
    dataset: str | None = None
    shots: int = 16
    val_first: bool = False
    images: str | None = None
    vg: str | None = None
    vcr: str | None = None
    texts: str | None = None
    format: Literal["auto", "table", "karpathy", "coco", "folder"] = "auto"
    split: str | None = None
    image_column: str | None = None
    caption_column: str | None = None
    captions: Literal["random", "first", "each"] = "random"
    missing: Literal["error", "skip"] = "error"
    crop: tuple[float, float] | None = (0.9, 1.0)
    draft: bool = False
    size: int = 20_000
    single_share: float = 0.5
    things: int | None = None
    wording: Literal["curated", "web", "list"] = "curated"
    seed: int = 0
    bad_image_share: float = 0.05


@dataclass(frozen=True)
class NegativesRecipe:
    """How hard negatives are made (which kinds is the method's own setting).

    Attributes:
        parser: What reads a caption's grammar.
        cache: A folder that keeps parses between runs.
    """

    parser: str = "auto"
    cache: str | None = None


@dataclass(frozen=True)
class OptimizerRecipe:
    """How gradients become steps.

    Attributes:
        name: AdamW; or Muon for the towers' hidden matrices and AdamW for the rest, which learns
            from far fewer samples where training starts from random weights; or SGD.
        lr: The learning rate after warm-up.
        betas, eps: AdamW's.
        momentum: SGD's.
        weight_decay: Decoupled; of matrices only, not of biases, gains and the logit scale.
    """

    name: Literal["adamw", "muon", "sgd"] = "adamw"
    lr: float = 5e-6
    betas: tuple[float, float] = (0.9, 0.98)
    eps: float = 1e-6
    momentum: float = 0.9
    weight_decay: float = 0.1


@dataclass(frozen=True)
class ScheduleRecipe:
    """Warm-up, then half a cosine.

    Attributes:
        warmup_steps: Steps until the full learning rate.
        warmup_epochs: Epochs until then, instead of steps.
        warmup_lr: A constant rate during warm-up; without it the rate rises linearly.
        final_lr: Where the cosine ends.
        by_epoch: Change the rate between epochs only, with CoOp's cosine over all of them.
        epochs: How often the data are seen; not read where `steps` is given.
        steps: The number of optimizer steps.
        text_from: The step from which on the text tower learns; until then it stays as it is.
    """

    warmup_steps: int = 50
    warmup_epochs: int | None = None
    warmup_lr: float | None = None
    final_lr: float = 0.0
    by_epoch: bool = False
    epochs: int = 5
    steps: int | None = None
    text_from: int = 0


@dataclass(frozen=True)
class Recipe:
    """A training run.

    Attributes:
        name: The run's name; its folder is `output`/`name`.
        model: What training starts from.
        method: `{name: ..., **options}`, the options being the fields of the method's config.
        data: Where captioned pictures come from.
        negatives: How hard negatives are made.
        optimizer: How gradients become steps.
        schedule: The length of the run and its learning rate.
        batch_size: Pictures in one contrastive batch, over all processes together.
        accumulation: Batches whose gradients are averaged before a step. Each keeps to its own
            contrasts; `gradient_cache` is what makes one large contrastive batch.
        gradient_cache: Encode a process's batch in pieces of this many pictures, with the exact
            gradient of the whole, 0 to encode it in one piece.
        precision: Of the towers; "auto" takes fp32 on a CPU, bf16 on a GPU that has it, else fp16.
        sharding: Spread parameters, gradients and optimizer state over all processes (FSDP), for
            models that one GPU cannot train.
        gradient_checkpointing: Recompute activations in the backward pass to save memory.
        compile: Compile the towers' blocks.
        max_logit_scale: The logit scale's upper bound, as a logarithm (ln 100).
        clip_grad_norm: Scale gradients down to this norm, null for never.
        seed: Of data order, draws and dropout.
        workers: Processes that prepare batches, for each training process.
        log_every: Steps between two log lines.
        checkpoint_every: Steps between two checkpoints, 0 for one at the end only.
        keep: How many of the latest checkpoints stay (the best one stays beside them).
        eval_every: Steps between two evaluations, 0 for one at the end only.
        evaluation: The evaluations to make.
        monitor: The metric that chooses the best checkpoint, `evaluation/metric`.
        monitor_mode: Whether more or less of it is better.
        output: The folder for runs.
    """

    name: str = "run"
    model: ModelRecipe = field(default_factory=ModelRecipe)
    method: dict[str, Any] = field(default_factory=lambda: {"name": "finetune"})
    data: DataRecipe = field(default_factory=DataRecipe)
    negatives: NegativesRecipe = field(default_factory=NegativesRecipe)
    optimizer: OptimizerRecipe = field(default_factory=OptimizerRecipe)
    schedule: ScheduleRecipe = field(default_factory=ScheduleRecipe)
    batch_size: int = 256
    accumulation: int = 1
    gradient_cache: int = 0
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    sharding: Literal["none", "full"] = "none"
    gradient_checkpointing: bool = False
    compile: bool = False
    max_logit_scale: float = math.log(100)
    clip_grad_norm: float | None = None
    seed: int = 0
    workers: int = 2
    log_every: int = 10
    checkpoint_every: int = 500
    keep: int = 1
    eval_every: int = 0
    evaluation: tuple[str, ...] = ()
    monitor: str | None = None
    monitor_mode: Literal["max", "min"] = "max"
    output: str = "runs"

    def __post_init__(self) -> None:
        _check(self)

    @property
    def folder(self) -> str:
        """The run folder."""
        return os.path.join(self.output, self.name)


# What may differ between a run and its continuation: none of it changes the numbers.
HARMLESS = frozenset(
    {
        "name", "workers", "log_every", "checkpoint_every", "keep", "eval_every", "evaluation",
        "monitor", "monitor_mode", "output", "data.images", "data.vg", "data.vcr", "data.texts", "data.bad_image_share",
        "sharding", "gradient_checkpointing", "compile", "negatives.cache",
    }
)  # fmt: skip


def load_recipe(
    path: str | os.PathLike[str] | None,
    overrides: Sequence[str] = (),
    methods: Mapping[str, tuple[type, type]] | None = None,
) -> Recipe:
    """Read a recipe, lay command-line overrides over it, and check all of it.

    Args:
        path: The YAML file, or None for the defaults.
        overrides: Words such as `["--optimizer.lr", "1e-5"]`.
        methods: Method name to (config dataclass, method class); where given, the method's
            options are checked and completed. Naming another method than the file does keeps of
            the file's options those that the other method has too.

    Raises:
        UserError: the file cannot be read, or a key or value in it is wrong.
    """
    written = config.read_yaml(path) if path is not None else {}
    change = config.parse_overrides(overrides)
    for mapping in (written, change):
        if isinstance(mapping.get("method"), str):
            mapping["method"] = {"name": mapping["method"]}
    old, new = written.get("method"), change.get("method")
    if methods and isinstance(old, dict) and isinstance(new, dict) and "name" in new:
        known = methods.get(str(new["name"]))
        if known and new["name"] != old.get("name"):
            fields = known[0].__dataclass_fields__
            written["method"] = {key: value for key, value in old.items() if key in fields}
    recipe = config.build(Recipe, config.merge(written, change))
    if methods is None:
        return recipe
    options, _ = resolve_method(recipe, methods)
    return replace(recipe, method={"name": recipe.method["name"], **config.plain(options)})


def resolve_method(recipe: Recipe, methods: Mapping[str, tuple[type, type]]) -> tuple[Any, type]:
    """Return the method's filled-in config and its class.

    Raises:
        UserError: no such method, or an option that it does not have.
    """
    options = dict(recipe.method)
    name = options.pop("name", None)
    if name not in methods:
        hint = nearest(str(name), methods) or f" Known methods: {', '.join(methods)}."
        raise UserError(f"unknown method {name!r}.{hint}")
    config_class, method_class = methods[name]
    return config.build(config_class, options, "method"), method_class


def _check(recipe: Recipe) -> None:
    """Refuse values that no run can use."""
    least = {
        "batch_size": 1, "accumulation": 1, "gradient_cache": 0, "workers": 0, "log_every": 1,
        "checkpoint_every": 0, "keep": 1, "eval_every": 0, "seed": 0, "max_logit_scale": 0,
        "schedule.warmup_steps": 0, "schedule.epochs": 1, "schedule.steps": 1, "schedule.text_from": 0,
        "schedule.warmup_epochs": 0, "schedule.warmup_lr": 0, "schedule.final_lr": 0,
        "optimizer.lr": 0, "optimizer.momentum": 0, "data.shots": 1,
        "optimizer.eps": 0, "optimizer.weight_decay": 0, "clip_grad_norm": 0, "data.size": 1,
        "data.bad_image_share": 0,
    }  # fmt: skip
    for key, bound in least.items():
        value: Any = recipe
        for part in key.split("."):
            value = getattr(value, part)
        if value is not None and not value >= bound:
            raise UserError(f"{key} is {value}, but must be at least {bound}.")
    if not recipe.name or recipe.name in (".", "..") or set(recipe.name) & set("/\\\0"):
        raise UserError(f"name is {recipe.name!r}; it names a folder, so use a plain word.")
    crop = recipe.data.crop
    if crop is not None and not 0 < crop[0] <= crop[1] <= 1:
        raise UserError(
            f"data.crop is {list(crop)}; give two shares with 0 < first <= second <= 1."
        )
    if not recipe.data.source.startswith("world") and not recipe.data.path:
        raise UserError(f"data.source is {recipe.data.source!r}, so set data.path to its file.")
