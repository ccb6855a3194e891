"""Read a checkpoint that lies on this disk: a folder or a file, transformers' or open_clip's.

Everything that is read is checked here, and what is missing or does not fit is said in one
sentence: a checkpoint either means what it means in its own library, or it is refused.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import CLIPConfig, CLIPModel
from transformers.activations import ACT2FN

from trifocal.clip import open_clip
from trifocal.clip.model import Clip
from trifocal.clip.names import Architecture
from trifocal.clip.open_clip_config import preprocess_of
from trifocal.clip.preprocess import Preprocess
from trifocal.clip.preprocessor_config import STRETCHES
from trifocal.clip.shape import SHAPES, Activation
from trifocal.clip.tokenizer import Tokenizer
from trifocal.clip.towers import tower_configs
from trifocal.clip.trained_on import TrainedOn
from trifocal.clip.unwrap import unwrap
from trifocal.clip.vocabulary import find_tokenizer
from trifocal.clip.weights import INDEX, SUFFIXES, as_floats, read_json, read_tensors
from trifocal.clip.writing import CONVENTIONS, OPEN_CLIP_CONFIG, OPEN_CLIP_WEIGHTS
from trifocal.errors import UserError, nearest

TRANSFORMERS_WEIGHTS = (
    "model.safetensors",
    "model.safetensors" + INDEX,
    "pytorch_model.bin",
    "pytorch_model.bin" + INDEX,
)
OPEN_CLIP_FILES = (
    OPEN_CLIP_WEIGHTS,
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Request:
    """What is said about a checkpoint beyond where it lies.

    Attributes:
        source: what to call it in an error.
        tokenizer: one to use instead of the checkpoint's.
        activation: stated by the caller.
        published: the activation known for these published weights.
        architecture: the name that the weights have to fit.
    """

    source: str = ""
    tokenizer: Tokenizer | str | Path | None = None
    activation: Activation | None = None
    published: Activation | None = None
    architecture: Architecture | None = None


def load_path(path: Path, request: Request) -> Clip:
    """Load a folder or a file."""
    request = replace(request, source=request.source or str(path))
    if path.is_dir():
        return load_folder(path, request)
    if not path.is_file():
        raise UserError(f"there is no checkpoint at {str(path)!r}: no such file or folder.")
    if path.suffix not in SUFFIXES:
        raise UserError(
            f"{path} is not a checkpoint; its name should end in one of {', '.join(SUFFIXES)}."
        )
    if path.name in TRANSFORMERS_WEIGHTS and (path.parent / "config.json").is_file():
        return load_folder(path.parent, request)
    described = _described(path.with_suffix(".json")) or _described(path.parent / OPEN_CLIP_CONFIG)
    clip = _load_open_clip(path, described, request)
    if path.name in OPEN_CLIP_FILES:
        clip.trained_on = TrainedOn.read(path.parent)
    return clip


def load_folder(folder: Path, request: Request) -> Clip:
    """Load a folder that transformers or open_clip wrote."""
    config = read_json(folder / "config.json")
    kind = config.get("model_type") if config else None
    names = weights_names(folder)
    weights = next((folder / name for name in names if (folder / name).is_file()), None)
    if weights is None:
        what = f"weights ({' or '.join(names)})" if names else "config.json"
        if kind not in (None, "clip"):
            raise UserError(f"{request.source} is a {kind!r} model, not a CLIP.")
        raise UserError(f"{request.source} is not a CLIP checkpoint: it has no {what}.")
    if names == TRANSFORMERS_WEIGHTS:
        clip = _load_transformers(folder, weights, request)
    else:
        clip = _load_open_clip(weights, _described(folder / OPEN_CLIP_CONFIG), request)
    clip.trained_on = TrainedOn.read(folder)
    return clip


def weights_names(folder: Path) -> tuple[str, ...]:
    """Return the names that a folder's weights may have, the preferred one first.

    A folder of open_clip's may also hold a config.json of another library, so the kind decides.
    """
    config = read_json(folder / "config.json")
    if config is not None and config.get("model_type") == "clip":
        return TRANSFORMERS_WEIGHTS
    return OPEN_CLIP_FILES if (folder / OPEN_CLIP_CONFIG).is_file() else ()


def _load_transformers(folder: Path, weights: Path, request: Request) -> Clip:
    source = request.source
    config = _read_config(folder, source)
    vision, text = tower_configs(config)
    for tower in (vision, text):
        _agree(tower.hidden_act, request)
    _say_known(vision.hidden_act, request)
    _check_architecture(
        {
            "image_size": vision.image_size,
            "patch_size": vision.patch_size,
            "vision_width": vision.hidden_size,
            "text_width": text.hidden_size,
        },
        request,
    )
    state = unwrap(read_tensors(weights), str(weights))
    state = {k: v for k, v in state.items() if not k.endswith("position_ids")}
    network = _assemble(config, state, source)
    described = (read_json(folder / "processor_config.json") or {}).get("image_processor")
    if described is None:  # transformers looks there first
        described = read_json(folder / "preprocessor_config.json")
    if described is None:
        logger.warning("%s has no preprocessor_config.json; OpenAI's preprocessing is used", source)
        described = {"size": vision.image_size, "crop_size": vision.image_size}
    if not isinstance(described, dict):
        raise UserError(f"the image_processor in {source}'s processor_config.json is no table.")
    preprocess = Preprocess.from_dict(described, vision.image_size)
    _check_size(preprocess, vision.image_size, described.get(STRETCHES), source)
    tokenizer = find_tokenizer(request.tokenizer, folder, text.vocab_size, text.eos_token_id)
    clip = Clip(network, tokenizer, preprocess, source)
    clip.conventions = read_json(folder / CONVENTIONS) or {}
    return clip


def _read_config(folder: Path, source: str) -> CLIPConfig:
    """Return the architecture of a transformers folder."""
    try:
        config = CLIPConfig.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # strict configurations raise several kinds
        reason = " ".join(str(error).split()).rstrip(".")
        raise UserError(f"the config.json of {source} is not a CLIP's: {reason}.") from error
    if getattr(config, "quantization_config", None) is not None:
        raise UserError(f"{source} is quantized; take the weights from before it was.")
    if config._attn_implementation not in (None, "eager", "sdpa"):  # another kernel, equal numbers
        config._attn_implementation = "sdpa"
    for tower in tower_configs(config):
        if tower.hidden_act not in ACT2FN:
            raise UserError(
                f"the config.json of {source} has the unknown hidden_act {tower.hidden_act!r}."
                f"{nearest(str(tower.hidden_act), ACT2FN)}"
            )
    vision = tower_configs(config)[0]
    sizes = (vision.image_size, vision.patch_size)
    if not all(type(side) is int and side > 0 for side in sizes) or sizes[0] % sizes[1]:
        raise UserError(
            f"the config.json of {source} has images of {sizes[0]} in patches of {sizes[1]}; only "
            "square images of whole patches are done here."
        )
    return config


def _check_size(preprocess: Preprocess, image_size: int, stretches: object, source: str) -> None:
    """Refuse pictures that the tower's positions would silently be stretched for."""
    if preprocess.size != (image_size, image_size) and stretches is not True:
        height, width = preprocess.size
        raise UserError(
            f"the preprocessing of {source} makes pictures of {width}x{height}, but its image "
            f"tower takes {image_size}x{image_size}; set its crop_size (without a crop: its size) "
            f'to {image_size}, or state "{STRETCHES}": true to have the positions stretched.'
        )


def _load_open_clip(path: Path, described: dict[str, Any] | None, request: Request) -> Clip:
    state = unwrap(read_tensors(path), str(path))
    if "vision_model.embeddings.class_embedding" in state:
        raise UserError(
            f"{path} is in transformers' layout; put its config.json beside it, name it "
            f"{TRANSFORMERS_WEIGHTS[2 * (path.suffix != '.safetensors')]}, and give the folder."
        )
    if not open_clip.is_open_clip(state):
        raise UserError(
            f"{path} is not a CLIP with a vision transformer in open_clip's layout "
            f"(its first tensor is {next(iter(state), None)!r})."
        )
    model = described.get("model_cfg", described) if described else None
    if model is not None and not isinstance(model, Mapping):
        raise UserError(
            f"the description of {path} has model_cfg {model!r:.60}, which is no table."
        )
    activation = _activation(model, path, request)
    shape = open_clip.shape_of(state, activation, model)
    fields = ("image_size", "patch_size", "vision_width", "text_width")
    _check_architecture({field: getattr(shape, field) for field in fields}, request)
    pictures = (described or {}).get("preprocess_cfg", {})
    preprocess = preprocess_of(pictures, shape.image_size)
    _check_size(preprocess, shape.image_size, pictures.get(STRETCHES), str(path))
    given = request.tokenizer
    if given is None and described and "tokenizer" in described:
        given = Tokenizer.from_dict(described["tokenizer"])
    tokenizer = find_tokenizer(given, path.parent, shape.vocab_size or 0)
    network = _assemble(shape.config(tokenizer), open_clip.from_open_clip(state), str(path))
    return Clip(network, tokenizer, preprocess, request.source)


def _activation(model: Mapping[str, Any] | None, path: Path, request: Request) -> Activation:
    """Return the activation that is written down for an open_clip file.

    In order: its configuration (where open_clip leaves the key out, it means GELU), what is
    published for it, what the caller states. They must not contradict one another.
    """
    written: Activation | None = request.published
    if model is not None and ("quick_gelu" in model or written is None):
        written = "quick_gelu" if model.get("quick_gelu") else "gelu"
    if written is not None:
        _say_known(_agree(written, request), request)
        return written
    if request.activation is None:
        raise UserError(
            f"{path} does not say whether it was trained with QuickGELU or GELU; state it, as in "
            f"'ViT-B-32-quickgelu:{path}' or activation='quickgelu' (OpenAI's weights and what was "
            "fine-tuned from them have QuickGELU)."
        )
    return request.activation


def _agree(written: Activation, request: Request) -> Activation:
    stated = request.activation or request.published
    if stated is not None and written != stated:
        raise UserError(f"{request.source} was trained with {written}, not with {stated}.")
    return written


def _say_known(written: Activation, request: Request) -> None:
    """Tell who stated an activation that the checkpoint says itself; a name may hold one."""
    if request.activation is not None and request.architecture is None:
        logger.info("%s says itself that its activation is %s", request.source, written)


def _check_architecture(got: Mapping[str, int], request: Request) -> None:
    """Refuse weights that are not of the architecture in the name."""
    name = request.architecture.name if request.architecture else ""
    if name not in SHAPES:
        return
    for field, value in got.items():
        expected = getattr(SHAPES[name], field)
        if value != expected:
            raise UserError(
                f"{request.source} is not a {name}: its {field.replace('_', ' ')} is {value}, "
                f"not {expected}."
            )


def _assemble(config: CLIPConfig, state: dict[str, Tensor], source: str) -> CLIPModel:
    """Build the towers around the tensors, without first filling them with random numbers."""
    try:
        with torch.device("meta"):
            network = CLIPModel(config)
    except Exception as error:  # whatever a module makes of an impossible number
        reason = " ".join(str(error).split()).rstrip(".")
        raise UserError(f"the config.json of {source} describes no CLIP: {reason}.") from error
    expected = network.state_dict()
    for key in [*expected, *state]:
        if key not in state:
            raise UserError(f"{source} is not a complete CLIP: it lacks {key!r}.")
        if key not in expected:
            raise UserError(f"{source} is not a plain CLIP: it has an unknown tensor {key!r}.")
        got, shape = tuple(state[key].shape), tuple(expected[key].shape)
        if got != shape:
            raise UserError(f"{source} does not fit: {key!r} has shape {got}, not {shape}.")
    network.load_state_dict(as_floats(state, source), assign=True)
    for embeddings in (network.text_model.embeddings, network.vision_model.embeddings):
        count = embeddings.position_embedding.num_embeddings
        positions = torch.arange(count).expand((1, -1))
        embeddings.register_buffer("position_ids", positions, persistent=False)
    return network.eval()


def _described(path: Path) -> dict[str, Any] | None:
    """Return open_clip's description of a model, if that is what the file holds."""
    if not path.is_file():
        return None
    try:
        content = read_json(path)
    except UserError:
        if path.name == OPEN_CLIP_CONFIG:
            raise
        return None  # any other file that has the weights' name
    known = content is not None and ("model_cfg" in content or "vision_cfg" in content)
    return content if known else None
