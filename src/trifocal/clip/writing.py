"""Write a CLIP to disk: a folder as transformers has it, or open_clip's state dict.

The way back is `reading.py`.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import CLIPModel

from trifocal.clip import open_clip
from trifocal.clip.open_clip_config import model_config
from trifocal.clip.preprocess import Preprocess
from trifocal.clip.shape import CLIP_VOCABULARY, ClipShape
from trifocal.clip.tokenizer import Tokenizer
from trifocal.clip.towers import tower_configs
from trifocal.clip.trained_on import TrainedOn
from trifocal.errors import UserError
from trifocal.files import atomic_folder, atomic_write, check_file, check_folder, marker

OPEN_CLIP_CONFIG = "open_clip_config.json"
OPEN_CLIP_WEIGHTS = "open_clip_model.safetensors"
OPEN_CLIP, TRANSFORMERS = "open_clip model", "transformers model"  # kinds of what is written
CONVENTIONS = "conventions.json"  # how a focus makes the model's inputs; see `Clip.conventions`


class Savable(Protocol):
    """The parts of a `Clip` that are written."""

    network: CLIPModel
    tokenizer: Tokenizer
    preprocess: Preprocess
    conventions: dict[str, Any]
    trained_on: TrainedOn


def save_pretrained(clip: Savable, folder: str | Path, *, force: bool = False) -> None:
    """Write a folder that `load_clip` and plain transformers read.

    Args:
        clip: the model.
        folder: where to.
        force: replace an older one, if this program wrote it.

    Raises:
        UserError: something is still attached to the towers, or the folder holds something.
    """
    state = {key: value.contiguous() for key, value in _plain_state(clip).items()}
    config = copy.deepcopy(clip.network.config)
    config.architectures = ["CLIPModel"]
    config.dtype = clip.network.dtype
    with atomic_folder(folder, TRANSFORMERS, force=force) as aside:
        config.save_pretrained(aside)
        save_file(state, aside / "model.safetensors", metadata={"format": "pt"})
        clip.tokenizer.save(aside)
        side = tower_configs(config)[0].image_size
        clip.preprocess.save(aside, stretches=clip.preprocess.size != (side, side))
        if clip.conventions:
            _write_json(aside / CONVENTIONS, clip.conventions)
        clip.trained_on.write(aside)


def check_open_clip(path: str | Path, *, force: bool = False) -> None:
    """Refuse a path that `save_open_clip` would refuse; see there."""
    suffix = Path(path).suffix
    if suffix not in ("", ".pt", ".safetensors"):
        raise UserError(f"{path} should end in .pt or .safetensors, or be a folder's name.")
    if suffix == "":
        check_folder(path, OPEN_CLIP, force=force)
        return
    for file in (path, Path(path).with_suffix(".json")):
        check_file(file, OPEN_CLIP, force=force)


def save_open_clip(clip: Savable, path: str | Path, *, force: bool = False) -> None:
    """Write an open_clip state dict, and beside it what a state dict does not tell.

    Args:
        clip: the model.
        path: `NAME.pt` or `NAME.safetensors`; `NAME.json` is written beside it (activation,
            heads, preprocessing, in the form of open_clip's open_clip_config.json, and a vocabulary
            that is not CLIP's, which open_clip itself finds in a folder alone). A path
            without a suffix becomes a folder that open_clip loads as `local-dir:PATH`; it alone
            has room for what the model was trained on.
        force: replace what is there, if this program wrote it.

    Raises:
        UserError: another suffix, something that is there already, or towers that open_clip does
            not have.
    """
    path = Path(path)
    check_open_clip(path, force=force)
    described = model_config(ClipShape.of(clip.network.config), clip.preprocess)
    state = open_clip.to_open_clip(_plain_state(clip))
    if path.suffix == "":
        if clip.tokenizer.vocab_size != CLIP_VOCABULARY:
            # open_clip takes CLIP's tokenizer unless told that another lies in the folder.
            described["model_cfg"]["text_cfg"]["hf_tokenizer_name"] = "."
        with atomic_folder(path, OPEN_CLIP, force=force) as aside:
            _write_json(aside / OPEN_CLIP_CONFIG, described)
            save_file(state, aside / OPEN_CLIP_WEIGHTS, metadata={"format": "pt"})
            clip.tokenizer.save(aside)
            clip.trained_on.write(aside)
        return
    if clip.tokenizer.vocab_size != CLIP_VOCABULARY:
        described["tokenizer"] = clip.tokenizer.as_dict()
    with (
        atomic_write(path.with_suffix(".json"), OPEN_CLIP, force=force) as beside,
        atomic_write(path, OPEN_CLIP, force=force) as aside,
    ):
        if path.suffix == ".pt":
            torch.save(state, aside)
        else:
            save_file(state, aside, metadata={"format": "pt"})
        described["trifocal"] = marker(OPEN_CLIP, {path.name: aside.stat().st_size})
        _write_json(beside, described)


def _plain_state(clip: Savable) -> dict[str, Tensor]:
    """Return the tensors of a Clip on the CPU, if they are exactly a CLIP's."""
    state = {key: value.detach().cpu() for key, value in clip.network.state_dict().items()}
    with torch.device("meta"):
        expected = CLIPModel(clip.network.config).state_dict()
    extra = [key for key in [*state, *expected] if key not in expected or key not in state]
    if extra:
        raise UserError(
            f"the towers are not plain CLIP's ({extra[0]!r}); only low-rank updates can be merged "
            "and written so, and ONNX can hold the others (--to onnx)."
        )
    return state


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
