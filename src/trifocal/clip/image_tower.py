"""A pre-trained image tower alone, from which a CLIP of one's own is built.

Read are the image half of a CLIP (`CLIPModel`, `CLIPVisionModel` with or without projection) and a
plain vision transformer in the form of transformers (`ViTModel`, `ViTForImageClassification`) or of
timm (`vit_*`); how the latter two become CLIP's layout is in `plain_vit.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torch import Tensor
from transformers import CLIPVisionConfig

from trifocal.clip import hub, plain_vit
from trifocal.clip.preprocess import Preprocess
from trifocal.clip.preprocessor_config import FILE, OPENAI_MEAN, OPENAI_STD
from trifocal.clip.reading import TRANSFORMERS_WEIGHTS
from trifocal.clip.weights import as_floats, read_json, read_tensors
from trifocal.errors import UserError

Pixels = Literal["openai", "inception", "imagenet"]
_Channels = tuple[float, float, float]
_HALF: _Channels = (0.5, 0.5, 0.5)

# Mean and deviation of pixels by the names of the field.
NORMALIZATIONS: dict[str, tuple[_Channels, _Channels]] = {
    "openai": (OPENAI_MEAN, OPENAI_STD),
    "inception": (_HALF, _HALF),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}
_CLIP_KINDS = ("clip", "clip_vision_model")
_PROJECTION = "visual_projection.weight"


@dataclass
class ImageTower:
    """An image tower in CLIP's layout.

    Attributes:
        config: Its architecture.
        state: Its tensors under the names that they have in a `CLIPModel`.
        preprocess: Photos to its pixels.
        projection: (D, W) into a joint space, where it came with one.
        folder: Where it was read from.
    """

    config: CLIPVisionConfig
    state: dict[str, Tensor]
    preprocess: Preprocess
    projection: Tensor | None
    folder: Path

    @property
    def width(self) -> int:
        """Width W of its states."""
        return self.config.hidden_size


def load_image_tower(name: str, pixels: Pixels | None = None) -> ImageTower:
    """Load an image tower in float32.

    Args:
        name: A folder in transformers' or timm's form, or a Hub id (`timm/ID` included).
        pixels: How its pixels are normalized, where no file beside it says so; pictures are then
            brought to its size as CLIP's are.

    Raises:
        UserError: there is none, or it is not one that CLIP's layout can hold.
    """
    folder = Path(name).expanduser()
    if not folder.is_dir():
        folder = hub.fetch(name.removeprefix("hf-hub:"), lambda _: TRANSFORMERS_WEIGHTS)
    config = read_json(folder / "config.json")
    if config is None:
        raise UserError(f"{name} is no image tower: it has no config.json.")
    weights = next((folder / f for f in TRANSFORMERS_WEIGHTS if (folder / f).is_file()), None)
    if weights is None:
        raise UserError(f"{name} has no weights ({' or '.join(TRANSFORMERS_WEIGHTS)}).")
    state = read_tensors(weights)
    if not isinstance(state, Mapping) or not all(isinstance(t, Tensor) for t in state.values()):
        raise UserError(f"{weights} is not a table of tensors; give a model's own file.")
    kind = config.get("model_type")
    if kind in _CLIP_KINDS:
        vision = config if kind == "clip_vision_model" else config.get("vision_config")
        clip, projection = _clip_vision(vision, as_floats(_of_vision(state), name), name)
    elif kind == "vit" or "architecture" in config:
        vit = plain_vit.read(config, dict(state), name)
        clip, projection = (vit.config, vit.state), None
    else:
        raise UserError(
            f"{name} is a {kind!r} model; give the image half of a CLIP, or a plain vision "
            "transformer (transformers' ViT, or timm's vit_*)."
        )
    side: Any = clip[0].image_size  # a number in every finished configuration
    return ImageTower(*clip, _preprocess(folder, config, side, pixels, name), projection, folder)


def _of_vision(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of the image half of a CLIP by the names that they have in a CLIP.

    transformers writes a `CLIPVisionModel` with and without the prefix of its tower.
    """
    bare = not any(key.startswith("vision_model.") for key in state)
    named = {f"vision_model.{k}" if bare and k != _PROJECTION else k: t for k, t in state.items()}
    return {
        key: value
        for key, value in named.items()
        if key.startswith(("vision_model.", _PROJECTION)) and not key.endswith("position_ids")
    }


def _clip_vision(
    content: object, state: dict[str, Tensor], name: str
) -> tuple[tuple[CLIPVisionConfig, dict[str, Tensor]], Tensor | None]:
    try:
        config = CLIPVisionConfig.from_dict(content)  # pyright: ignore[reportArgumentType]
    except Exception as error:  # strict configurations raise several kinds
        reason = " ".join(str(error).split()).rstrip(".")
        raise UserError(f"the config.json of {name} has no image tower: {reason}.") from error
    projection = state.pop(_PROJECTION, None)
    return (config, state), projection


def _preprocess(
    folder: Path, config: dict[str, Any], side: int, pixels: Pixels | None, name: str
) -> Preprocess:
    """Return what the recipe says of a tower's pixels, or what lies beside it."""
    if pixels is not None:
        mean, std = NORMALIZATIONS[pixels]
        return Preprocess((side, side), mean, std, rules="transformers")
    if "architecture" in config:
        return plain_vit.timm_preprocess(config, side)
    described = read_json(folder / FILE)
    if described is None:
        raise UserError(
            f"{name} has no {FILE}, and which pixels its tower was trained on cannot be guessed; "
            f"set model.pixels to one of {', '.join(NORMALIZATIONS)}."
        )
    kinds = (described.get("image_processor_type"), described.get("feature_extractor_type"))
    if any(str(kind).startswith("ViT") for kind in kinds):
        described = plain_vit.vit_pixels(described, side)
    return Preprocess.from_dict(described, side)
