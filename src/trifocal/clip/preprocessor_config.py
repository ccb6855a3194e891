"""transformers' `preprocessor_config.json`: every field acts as it does there, or is refused.

The defaults are those of transformers' `CLIPImageProcessor`. A field that is not known is refused,
because one that is ignored changes every embedding without an error.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from PIL import Image

from trifocal.errors import UserError, nearest

FILE = "preprocessor_config.json"
OPENAI_MEAN = (0.48145466, 0.4578275, 0.40821073)
OPENAI_STD = (0.26862954, 0.26130258, 0.27577711)
FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "lanczos": Image.Resampling.LANCZOS,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "box": Image.Resampling.BOX,
    "hamming": Image.Resampling.HAMMING,
}

STRETCHES = "interpolate_pos_encoding"  # transformers' word for stretched positions
RULES = "pixel_rules"  # ours: whose rounding, where it is not the format's own
_PROCESSORS = {
    "CLIPImageProcessor", "CLIPImageProcessorFast", "CLIPImageProcessorPil", "CLIPFeatureExtractor",
}  # fmt: skip
_ACTING = {
    "do_resize", "size", "default_to_square", "resample", "do_center_crop", "crop_size",
    "do_rescale", "rescale_factor", "do_normalize", "image_mean", "image_std", "do_pad", "pad_size",
    "do_convert_rgb", "use_square_size", "image_processor_type", STRETCHES, RULES,
}  # fmt: skip
_WITHOUT_EFFECT = {  # names, and how transformers hands its tensors over
    "feature_extractor_type", "processor_class", "auto_map", "model_input_names", "num_channels",
    "data_format", "input_data_format", "device", "return_tensors", "disable_grouping",
    "image_seq_length", "transformers_version", "_valid_processor_keys", "_valid_kwargs_names",
    "_processor_class", "_name_or_path", "_commit_hash", "backend",
}  # fmt: skip


def read_fields(content: Mapping[str, Any], image_size: int = 224) -> dict[str, Any]:
    """Return the fields of a `Preprocess` that does what a file says.

    Args:
        content: The file's table, or `image_processor` of a `processor_config.json`.
        image_size: The tower's, for a file that changes no picture's size.

    Raises:
        UserError: A field is unknown, or its value is none that transformers acts on.
    """
    _check_names(content)
    resizes, crops = _switch(content, "do_resize"), _switch(content, "do_center_crop")
    rules = content.get(RULES, "transformers")
    if rules not in ("transformers", "open_clip"):
        raise _refusal(RULES, rules, "use 'transformers' or 'open_clip'")
    fields: dict[str, Any] = {"rules": rules, "interpolation": "bicubic", "resize": "none"}
    resized: tuple[int, int] | None = None
    if resizes:
        fields["resize"], resized = _resizing(content)
        names = {int(value): name for name, value in FILTERS.items()}
        resample = content.get("resample", 3)
        if type(resample) is not int or resample not in names:
            known = ", ".join(f"{number} ({name})" for number, name in sorted(names.items()))
            raise _refusal("resample", resample, f"use {known}")
        fields["interpolation"] = names[resample]
    fits = resizes and fields["resize"] == "squash"
    if crops:
        size = _pair("crop_size", content.get("crop_size", 224))
    else:
        size = resized or (image_size, image_size)
    # open_clip's rule makes the resized picture cover `size`, whatever its shape.
    covers = rules == "open_clip" and resized == (min(size), min(size))
    fields |= {
        "size": size,
        "resize_size": None if resized == size or covers else resized,
        "crop": crops or fits,
        **_normalizing(content),
    }
    _check_padding(content, size)
    return fields


def _check_names(content: Mapping[str, Any]) -> None:
    for name in content:
        if name not in _ACTING | _WITHOUT_EFFECT:
            raise UserError(
                f"{FILE} has the unknown field {name!r}; take it out, or correct it."
                f"{nearest(str(name), _ACTING)}"
            )
    kind = content.get("image_processor_type")
    if kind is not None and not (isinstance(kind, str) and kind in _PROCESSORS):
        raise _refusal(
            "image_processor_type", kind, "state every field, and the type as CLIPImageProcessor"
        )
    if content.get("use_square_size"):
        raise _refusal("use_square_size", True, 'state "size" as {"height": ..., "width": ...}')
    _switch(content, "do_convert_rgb")  # pictures are RGB here in any case
    if not isinstance(content.get(STRETCHES, False), bool):
        raise _refusal(STRETCHES, content[STRETCHES], "use true or false")


def _switch(content: Mapping[str, Any], name: str, default: bool = True) -> bool:
    value = content.get(name, default)
    if value not in (True, False, None):
        raise _refusal(name, value, "use true or false")
    return bool(value)


def _resizing(content: Mapping[str, Any]) -> tuple[str, tuple[int, int]]:
    """Return how a picture is resized, and to (height, width) or to a shortest side (twice)."""
    size = content.get("size", {"shortest_edge": 224})
    if isinstance(size, int) and not content.get("default_to_square"):
        size = {"shortest_edge": size}
    if isinstance(size, dict) and set(size) == {"shortest_edge"}:
        edge = _side("size", size["shortest_edge"])
        return "shortest", (edge, edge)
    return "squash", _pair("size", size)


def _pair(name: str, size: Any) -> tuple[int, int]:
    """Return (height, width) of the forms that transformers takes for it."""
    if isinstance(size, dict) and set(size) == {"height", "width"}:
        return _side(name, size["height"]), _side(name, size["width"])
    if isinstance(size, list | tuple) and len(size) == 2:
        return _side(name, size[0]), _side(name, size[1])
    if isinstance(size, dict | list | tuple):
        also = ' or {"shortest_edge": ...}' if name == "size" else ""
        raise _refusal(name, size, f'use a number, {{"height": ..., "width": ...}}{also}')
    return _side(name, size), _side(name, size)


def _side(name: str, value: Any) -> int:
    if type(value) is not int or not 0 < value <= 1 << 14:
        raise _refusal(name, value, "use a whole number of pixels")
    return value


def _normalizing(content: Mapping[str, Any]) -> dict[str, tuple[float, ...]]:
    """Return mean and deviation of pixels in [0, 1] that amount to the file's arithmetic.

    Theirs is (byte * factor - mean) / std, ours (byte / 255 - mean) / std: another factor than
    1/255 is divided out of mean and std.
    """
    mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    if _switch(content, "do_normalize"):
        mean = _channels("image_mean", content.get("image_mean", OPENAI_MEAN))
        std = _channels("image_std", content.get("image_std", OPENAI_STD))
        if min(std) <= 0:
            raise _refusal("image_std", list(std), "use positive numbers")
    factor = 1.0
    if _switch(content, "do_rescale"):
        factor = content.get("rescale_factor", 1 / 255)
        if not _is_number(factor) or factor <= 0:
            raise _refusal("rescale_factor", factor, "use a positive number, as 1/255")
    ratio = 255 * factor
    if not math.isclose(ratio, 1, rel_tol=1e-6):  # written with fewer digits
        mean, std = tuple(x / ratio for x in mean), tuple(x / ratio for x in std)
        if not all(map(math.isfinite, (*mean, *std))) or min(std) <= 0:
            raise _refusal("rescale_factor", factor, "use a number near 1/255")
    return {"mean": mean, "std": std}


def _channels(name: str, value: Any) -> tuple[float, ...]:
    """Return three numbers; one stands for all."""
    values = value if isinstance(value, list | tuple) else [value] * 3
    if len(values) != 3 or not all(map(_is_number, values)):
        raise _refusal(name, value, "use one number or three")
    return tuple(float(each) for each in values)


def _is_number(value: Any) -> bool:
    # An integer may have any number of digits.
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e30


def _check_padding(content: Mapping[str, Any], size: tuple[int, int]) -> None:
    """Refuse padding that would add something; a batch's pictures are of one size here."""
    stated = content.get("pad_size")
    if (
        _switch(content, "do_pad", False)
        and stated is not None
        and _pair("pad_size", stated) != size
    ):
        raise _refusal("pad_size", stated, 'set "do_pad" to false, and "crop_size" as wanted')


def _refusal(name: str, value: Any, remedy: str) -> UserError:
    return UserError(f"{FILE} has {name} {value!r}, which is not done here; {remedy}.")
