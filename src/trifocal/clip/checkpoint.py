"""Checkpoints by their names: folders, open_clip files, Hub models, the built-in one.

A checkpoint is a table of tensors, the architecture, the activation, the preprocessing and a
tokenizer; `load_clip` finds all five or says in one sentence which is missing. Weights are always
loaded in float32, which holds float16 and bfloat16 values exactly.
"""

from __future__ import annotations

from dataclasses import replace
from importlib import resources
from pathlib import Path

import torch

from trifocal.clip import hub
from trifocal.clip.model import Clip
from trifocal.clip.names import (
    OPEN_CLIP_PREFIX,
    Architecture,
    canonical_name,
    find_published,
    parse_activation,
    parse_architecture,
    split_pair,
)
from trifocal.clip.preprocess import OPENAI_MEAN, OPENAI_STD
from trifocal.clip.reading import Request, load_folder, load_path, weights_names
from trifocal.clip.shape import SHAPES
from trifocal.clip.tokenizer import Tokenizer
from trifocal.clip.weights import SUFFIXES
from trifocal.errors import UserError


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

    Example:
        >>> import trifocal
        >>> trifocal.load_clip("builtin").embed_dim
        128
    """
    text = str(name_or_path).strip()
    stated = parse_activation(activation) if activation else None
    clip = _resolve(text, Request(tokenizer=tokenizer, activation=stated))
    clip.name = canonical_name(text)
    return clip.to(device)


def hub_id(text: str) -> str | None:
    """Return the Hub id that a name is, or None if it is another kind of name."""
    if text.startswith("hf-hub:"):
        return text.removeprefix("hf-hub:")
    other = ":" in text or Path(text).exists() or parse_architecture(text) is not None
    if other or Path(text).suffix in SUFFIXES or not hub.looks_like_id(text):
        return None
    return text


def load_fetched(
    repo: str,
    folder: Path,
    *,
    device: torch.device | str = "cpu",
    tokenizer: Tokenizer | str | Path | None = None,
    activation: str | None = None,
) -> Clip:
    """Load a model of the Hub whose files are in a folder already; see `load_clip`."""
    stated = parse_activation(activation) if activation else None
    clip = load_folder(folder, Request(source=repo, tokenizer=tokenizer, activation=stated))
    clip.name = canonical_name(repo)
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
    if hub_id(text) is not None:
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
    # These names are open_clip's, and published results were made with its pixels.
    clip.preprocess = replace(clip.preprocess, mean=mean, std=std, rules="open_clip")
    return clip


def _load_hub(repo: str, request: Request) -> Clip:
    return load_folder(hub.fetch(repo, weights_names), replace(request, source=repo))


def _load_builtin(request: Request) -> Clip:
    with resources.as_file(resources.files("trifocal") / "world" / "base") as folder:
        if not (folder / "config.json").is_file():
            raise UserError(
                "the built-in checkpoint is not in this installation; reinstall the package, "
                "or train one with `trifocal train pretrain`."
            )
        return load_folder(folder, replace(request, source="builtin"))
