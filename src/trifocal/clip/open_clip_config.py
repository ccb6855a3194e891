"""open_clip's `open_clip_config.json`: what of it is done here; anything else is refused.

`model_cfg` describes the towers, `preprocess_cfg` the pictures. A setting that is ignored changes
every embedding without an error, so each must be known, and be one that is done here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trifocal.clip.preprocess import OPENAI_MEAN, OPENAI_STD, Preprocess
from trifocal.clip.preprocessor_config import RULES, STRETCHES
from trifocal.clip.shape import NORM_EPS, ClipShape
from trifocal.errors import UserError, nearest

FILE = "open_clip_config.json"

_NEITHER = {  # settings of both towers that change numbers, and the only value done here
    "ls_init_value": None, "final_ln_after_pool": False, "act_kwargs": None, "qk_norm": False,
    "scaled_cosine_attn": False, "scale_heads": False, "scale_attn_inner": False,
    "scale_attn": False, "scale_fc": False,
}  # fmt: skip
_DONE: dict[str, dict[str, Any]] = {
    "": {"init_logit_bias": None, "nonscalar_logit_scale": False, "multimodal_cfg": None},
    "vision_cfg": {
        **_NEITHER, "attentional_pool": False, "no_ln_pre": False, "pos_embed_type": "learnable",
        "pool_type": "tok", "timm_model_name": None,
    },
    "text_cfg": {
        **_NEITHER, "embed_cls": False, "no_causal_mask": False, "pool_type": "argmax",
        "proj_bias": False, "proj_type": "linear", "hf_model_name": None, "tokenizer_mode": None,
    },
}  # fmt: skip
# What the tensors tell by themselves; it must not contradict them.
_SHAPES = {
    "": {"embed_dim": "embed_dim"},
    "vision_cfg": {
        "image_size": "image_size", "patch_size": "patch_size", "width": "vision_width",
        "layers": "vision_layers",
    },
    "text_cfg": {
        "context_length": "context_length", "vocab_size": "vocab_size", "width": "text_width",
        "layers": "text_layers",
    },
}  # fmt: skip
_OTHER = {  # read elsewhere, or without effect on an embedding
    "": {
        "quick_gelu", "vision_cfg", "text_cfg", "custom_text", "output_dict", "cast_dtype",
        "init_logit_scale",
    },
    "vision_cfg": {
        "head_width", "mlp_ratio", "patch_dropout", "output_tokens", "attn_pooler_queries",
        "attn_pooler_heads", "norm_kwargs", "block_type", "timm_model_pretrained", "timm_pool",
        "timm_proj", "timm_proj_bias", "timm_drop", "timm_drop_path",
    },
    "text_cfg": {
        "heads", "mlp_ratio", "pad_id", "eos_id", "output_tokens", "norm_kwargs", "block_type",
        "hf_tokenizer_name", "tokenizer_kwargs", "hf_model_pretrained", "hf_proj_type",
        "hf_pooler_type",
    },
}  # fmt: skip
_PREPROCESS = {
    "size", "mode", "mean", "std", "interpolation", "resize_mode", "fill_color", RULES, STRETCHES,
}  # fmt: skip


def check_model(model: Mapping[str, Any], shape: ClipShape) -> None:
    """Refuse a `model_cfg` that asks for more than plain towers, or for others than the tensors'.

    Raises:
        UserError: A setting is unknown, not done here, or contradicts the weights.
    """
    for part, done in _DONE.items():
        table = model if not part else part_of(model, part)
        for name, value in table.items():
            where = f"{part}.{name}".removeprefix(".")
            if name in done:
                if value is not None and value != done[name]:
                    raise UserError(
                        f"{FILE} has {where} {value!r}, and here are plain towers "
                        f"({done[name]!r}); use a CLIP without it."
                    )
            elif name in _SHAPES[part]:
                _check_shape(where, value, getattr(shape, _SHAPES[part][name]))
            elif name not in _OTHER[part]:
                known = {*done, *_SHAPES[part], *_OTHER[part]}
                raise UserError(
                    f"{FILE} has the unknown field {where!r}; take it out, or correct it."
                    f"{nearest(name, known)}"
                )
        if table.get("block_type") not in (None, "default"):
            raise UserError(f"{FILE} has another block_type than 'default', which is not done.")
    cleaning = part_of(model, "text_cfg").get("tokenizer_kwargs") or {}
    if cleaning not in ({}, {"clean": "lower"}):
        raise UserError(
            f"{FILE} has tokenizer_kwargs {cleaning!r}, and captions are only cleaned as OpenAI "
            "did; use a CLIP without them."
        )


def _check_shape(where: str, stated: Any, found: int | None) -> None:
    if stated not in (found, [found, found], None):
        raise UserError(
            f"{FILE} has {where} {stated!r}, but the weights have {found}; correct the one that "
            "is wrong (nothing is resized silently)."
        )


def part_of(model: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return `vision_cfg` or `text_cfg` of a `model_cfg`."""
    part = model.get(name, {})
    if not isinstance(part, Mapping):
        raise UserError(f"{FILE} has {name} {part!r}; it should be a table.")
    return part


def heads(model: Mapping[str, Any], tower: str, width: int) -> int:
    """Return the attention heads of the "vision" or "text" tower, open_clip's where it is silent."""
    name, default = ("head_width", 64) if tower == "vision" else ("heads", 8)
    stated = part_of(model, f"{tower}_cfg").get(name, default)
    if type(stated) is not int or not 0 < stated <= width or width % stated:
        raise UserError(f"{FILE} has {tower}_cfg.{name} {stated!r}, but the tower is {width} wide.")
    return width // stated if tower == "vision" else stated


def norm_eps(model: Mapping[str, Any], name: str) -> float:
    """Return the epsilon of a tower's layer norms."""
    stated = part_of(model, name).get("norm_kwargs") or {}
    if not isinstance(stated, Mapping) or set(stated) - {"eps"}:
        raise UserError(f"{FILE} has {name}.norm_kwargs {stated!r}; only 'eps' is done here.")
    eps = stated.get("eps", NORM_EPS)
    if not isinstance(eps, float) or not 0 <= eps < 1:
        raise UserError(f"{FILE} has {name}.norm_kwargs {stated!r}; 'eps' is a small number.")
    return eps


def model_config(shape: ClipShape, preprocess: Preprocess) -> dict[str, Any]:
    """Return what open_clip writes into `open_clip_config.json`.

    Raises:
        UserError: open_clip does not prepare pictures so.
    """
    if (
        preprocess.resize == "none"
        or not preprocess.crop
        or preprocess.resize_size is not None
        or preprocess.interpolation not in ("bicubic", "bilinear")
    ):
        raise UserError(
            f"open_clip cannot prepare pictures as {preprocess!r}; it resizes to the tower's size, "
            "bicubic or bilinear, and crops the center: export to transformers."
        )
    height, width = preprocess.size
    content: dict[str, Any] = {
        "model_cfg": {
            "embed_dim": shape.embed_dim,
            "quick_gelu": shape.activation == "quick_gelu",
            "vision_cfg": {
                "image_size": shape.image_size,
                "layers": shape.vision_layers,
                "width": shape.vision_width,
                "head_width": shape.vision_width // shape.heads("vision"),
                "patch_size": shape.patch_size,
                **_norm(shape.vision_eps),
            },
            "text_cfg": {
                "context_length": shape.context_length,
                "vocab_size": shape.vocab_size,
                "width": shape.text_width,
                "heads": shape.heads("text"),
                "layers": shape.text_layers,
                **_norm(shape.text_eps),
            },
        },
        "preprocess_cfg": {
            "size": [height, width],
            "mean": list(preprocess.mean),
            "std": list(preprocess.std),
            "interpolation": preprocess.interpolation,
            "resize_mode": preprocess.resize,
        },
    }
    if preprocess.rules != "open_clip":
        content["preprocess_cfg"][RULES] = preprocess.rules
    if (height, width) != (shape.image_size, shape.image_size):
        content["preprocess_cfg"][STRETCHES] = True
    return content


def _norm(eps: float) -> dict[str, Any]:
    return {} if eps == NORM_EPS else {"norm_kwargs": {"eps": eps}}


def preprocess_of(config: Mapping[str, Any], image_size: int) -> Preprocess:
    """Return the preprocessing of `preprocess_cfg`; what it leaves out is OpenAI's."""
    if not isinstance(config, Mapping):
        raise UserError(f"{FILE} has preprocess_cfg {config!r:.60}; it should be a table.")
    for name in config:
        if name not in _PREPROCESS:
            raise UserError(
                f"{FILE} has the unknown field 'preprocess_cfg.{name}'; take it out, or correct it."
                f"{nearest(name, _PREPROCESS)}"
            )
    resize, interpolation = config.get("resize_mode", "shortest"), config.get("interpolation")
    if resize not in ("shortest", "squash") or interpolation not in (None, "bicubic", "bilinear"):
        raise UserError(
            f"the preprocessing {resize!r} with {interpolation!r} interpolation is not known; "
            "use shortest or squash with bicubic or bilinear."
        )
    rules = config.get(RULES, "open_clip")
    if config.get("mode", "RGB") != "RGB" or rules not in ("open_clip", "transformers"):
        raise UserError(f"{FILE} has preprocess_cfg mode or {RULES} that are not done here.")
    size = config.get("size") or image_size
    sizes = [size, size] if isinstance(size, int) else size
    if not isinstance(sizes, list) or not all(type(x) is int and x > 0 for x in sizes[-2:]):
        raise UserError(f"{FILE} has preprocess_cfg.size {size!r}; use a number of pixels.")
    return Preprocess(
        size=(sizes[-2:][0], sizes[-1]),
        mean=_channels("mean", config.get("mean") or OPENAI_MEAN),
        std=_channels("std", config.get("std") or OPENAI_STD),
        interpolation=interpolation or "bicubic",
        resize=resize,
        rules=rules,
    )


def _channels(name: str, value: Any) -> tuple[float, float, float]:
    values = value if isinstance(value, list | tuple) else [value] * 3
    numbers = all(isinstance(x, int | float) and abs(x) < float("inf") for x in values)
    if len(values) != 3 or not numbers or (name == "std" and min(values) <= 0):
        raise UserError(f"{FILE} has preprocess_cfg.{name} {value!r}; use one number or three.")
    return float(values[0]), float(values[1]), float(values[2])
