"""Checkpoints in and out: folders, open_clip files, Hub models, the built-in one.

A checkpoint is a table of tensors, the architecture, the activation, the preprocessing and a
tokenizer; `load_clip` finds all five or says in one sentence which is missing. Weights are always
loaded in float32, which holds float16 and bfloat16 values exactly.
"""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import CLIPModel

from trifocal.clip import hub, open_clip
from trifocal.clip.model import Clip
from trifocal.clip.names import (
    Architecture,
    canonical_name,
    find_published,
    parse_activation,
    parse_architecture,
    split_pair,
)
from trifocal.clip.open_clip_backbone import PREFIX as OPEN_CLIP_PREFIX
from trifocal.clip.preprocess import OPENAI_MEAN, OPENAI_STD
from trifocal.clip.reading import (
    CONVENTIONS,
    OPEN_CLIP_CONFIG,
    OPEN_CLIP_WEIGHTS,
    SUFFIXES,
    Request,
    load_folder,
    load_path,
    weights_names,
)
from trifocal.clip.shape import CLIP_VOCABULARY, SHAPES, ClipShape
from trifocal.clip.tokenizer import Tokenizer
from trifocal.errors import UserError
from trifocal.files import atomic_folder, atomic_write

__all__ = ["canonical_name", "load_clip", "save_open_clip", "save_pretrained"]


def load_clip(
    name_or_path: str | Path,
    *,
    device: torch.device | str = "cpu",
    tokenizer: Tokenizer | str | Path | None = None,
    activation: str | None = None,
) -> Clip:
    """Load a CLIP, in float32 and in evaluation mode.

    Args:
        name_or_path: one of
            `builtin`, the tiny CLIP that comes with the package;
            a folder that `save_pretrained` wrote, here or in transformers;
            a folder with `open_clip_config.json` (`local-dir:PATH` says the same);
            an open_clip state dict, `FILE.pt` or `FILE.safetensors`;
            `ViT-B-32:openai`, an architecture and a published tag;
            `ViT-B-32-quickgelu:FILE.pt`, an architecture (`-quickgelu` or `-gelu` states the
            activation) and a file;
            `openai/clip-vit-base-patch32`, a Hub id (`hf-hub:ID` says the same), with
            `@REVISION` to pin it.
        device: where the weights go.
        tokenizer: a tokenizer, its folder, its tokenizer.json, or OpenAI's vocabulary file;
            needed only where none is found (see `clip/vocabulary.py`).
        activation: "quickgelu" or "gelu", for a file whose activation is written nowhere.

    Raises:
        UserError: there is no such checkpoint, it is not a CLIP, or something that cannot be
            guessed is missing.
    """
    text = str(name_or_path).strip()
    stated = parse_activation(activation) if activation else None
    clip = _resolve(text, Request(tokenizer=tokenizer, activation=stated))
    clip.name = canonical_name(text)
    return clip.to(device)


def _resolve(text: str, request: Request) -> Clip:
    """Find out which kind of name `text` is, and load it."""
    if text == "builtin":
        return _load_builtin(request)
    if text.startswith(OPEN_CLIP_PREFIX):
        raise UserError(
            f"{text} would offer pooled features only, and here a CLIP is needed whose towers can "
            f"be changed; leave out '{OPEN_CLIP_PREFIX}' if it is a ViT."
        )
    if text.startswith("hf-hub:"):
        return _load_hub(text.removeprefix("hf-hub:"), request)
    if text.startswith("local-dir:"):
        return load_path(Path(text.removeprefix("local-dir:")), request)
    if text and Path(text).exists():
        return load_path(Path(text), request)
    pair = split_pair(text)
    if pair is not None:
        return _load_pair(*pair, request)
    if parse_architecture(text) is not None:
        raise UserError(f"{text!r} is an architecture; say which weights, as in '{text}:openai'.")
    if ":" in text and "/" not in text:
        left = text.partition(":")[0]
        raise UserError(f"{left!r} is not a known architecture; known are {', '.join(SHAPES)}.")
    if hub.looks_like_id(text) and Path(text).suffix not in SUFFIXES:
        return _load_hub(text, request)
    raise UserError(f"there is no checkpoint at {text!r}: no such file or folder.")


def _load_pair(architecture: Architecture, right: str, request: Request) -> Clip:
    """Load `ARCHITECTURE:TAG` or `ARCHITECTURE:PATH`."""
    stated = architecture.activation
    if stated and request.activation and stated != request.activation:
        raise UserError(f"the name says {stated}, but activation= says {request.activation}.")
    request = replace(request, architecture=architecture, activation=request.activation or stated)
    if Path(right).exists() or Path(right).suffix in SUFFIXES or "/" in right:
        return load_path(Path(right), request)
    published = find_published(replace(architecture, activation=request.activation), right)
    request = replace(request, published=published.activation)
    clip = _load_hub(published.repo, request)
    mean, std = published.mean or OPENAI_MEAN, published.std or OPENAI_STD
    clip.preprocess = replace(clip.preprocess, mean=mean, std=std)
    return clip


def _load_hub(repo: str, request: Request) -> Clip:
    return load_folder(hub.fetch(repo, weights_names), replace(request, source=repo))


def _load_builtin(request: Request) -> Clip:
    with resources.as_file(resources.files("trifocal") / "world" / "base") as folder:
        if not (folder / "config.json").is_file():
            raise UserError(
                "the built-in checkpoint is not in this installation; reinstall the package, "
                "or train one with recipes/world/pretrain.yaml."
            )
        return load_folder(folder, replace(request, source="builtin"))


def save_pretrained(clip: Clip, folder: str | Path) -> None:
    """Write a folder that `load_clip` and plain transformers read; an older one is replaced.

    Raises:
        UserError: something is still attached to the towers.
    """
    state = {key: value.contiguous() for key, value in _plain_state(clip).items()}
    config = copy.deepcopy(clip.network.config)
    config.architectures = ["CLIPModel"]
    config.dtype = clip.network.dtype
    with atomic_folder(folder) as aside:
        config.save_pretrained(aside)
        save_file(state, aside / "model.safetensors", metadata={"format": "pt"})
        clip.tokenizer.save(aside)
        clip.preprocess.save(aside)
        if clip.conventions:
            _write_json(aside / CONVENTIONS, clip.conventions)


def save_open_clip(clip: Clip, path: str | Path) -> None:
    """Write an open_clip state dict, and beside it what a state dict does not tell.

    Args:
        clip: the model.
        path: `NAME.pt` or `NAME.safetensors`; `NAME.json` is written beside it (activation,
            heads, preprocessing, in the form of open_clip's open_clip_config.json). A path
            without a suffix becomes a folder that open_clip loads as `local-dir:PATH`.

    Raises:
        UserError: another suffix, or towers that open_clip does not have.
    """
    path = Path(path)
    if path.suffix not in ("", ".pt", ".safetensors"):
        raise UserError(f"{path.name} should end in .pt or .safetensors, or be a folder's name.")
    described = open_clip.model_config(ClipShape.of(clip.network.config), clip.preprocess)
    state = open_clip.to_open_clip(_plain_state(clip))
    if path.suffix == "":
        if clip.tokenizer.vocab_size != CLIP_VOCABULARY:
            # open_clip takes CLIP's tokenizer unless told that another lies in the folder.
            described["model_cfg"]["text_cfg"]["hf_tokenizer_name"] = "."
        with atomic_folder(path) as aside:
            _write_json(aside / OPEN_CLIP_CONFIG, described)
            save_file(state, aside / OPEN_CLIP_WEIGHTS[0], metadata={"format": "pt"})
            clip.tokenizer.save(aside)
        return
    with atomic_write(path.with_suffix(".json")) as aside:
        _write_json(aside, described)
    with atomic_write(path) as aside:
        if path.suffix == ".pt":
            torch.save(state, aside)
        else:
            save_file(state, aside, metadata={"format": "pt"})


def _plain_state(clip: Clip) -> dict[str, Tensor]:
    """Return the tensors of a Clip on the CPU, if they are exactly a CLIP's."""
    state = {key: value.detach().cpu() for key, value in clip.network.state_dict().items()}
    with torch.device("meta"):
        expected = CLIPModel(clip.network.config).state_dict()
    extra = [key for key in [*state, *expected] if key not in expected or key not in state]
    if extra:
        raise UserError(
            f"the towers are not plain CLIP's ({extra[0]!r}); only low-rank updates can be merged "
            "and written so."
        )
    return state


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
