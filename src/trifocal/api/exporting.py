"""`export`: a model, or a few-shot classifier, in another library's format."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from trifocal.clip.writing import (
    TRANSFORMERS,
    check_open_clip,
    save_open_clip,
    save_pretrained,
)
from trifocal.errors import UserError, nearest
from trifocal.files import check_apart, check_folder

if TYPE_CHECKING:
    from trifocal.api.model import Model
    from trifocal.clip import Clip

Format = Literal["transformers", "open_clip", "sentence-transformers", "onnx"]
FORMATS: tuple[str, ...] = get_args(Format)
_FILES = (".pt", ".pth", ".bin", ".safetensors", ".json", ".zip", ".onnx")
_HEAD = "head.json"  # by which a folder is a classifier of `trifocal classify`


def check_export(out: str | os.PathLike[str], to: str, *, force: bool = False) -> None:
    """Refuse, before a model is loaded, a format or a place that `export` would refuse.

    Raises:
        UserError: there is no such format, or something that must not be replaced is there.
    """
    if to not in FORMATS:
        raise UserError(f"there is no format {to!r}.{nearest(to, FORMATS)} {', '.join(FORMATS)}.")
    if to == "open_clip":
        check_open_clip(os.fspath(out), force=force)
        return
    if Path(out).suffix in _FILES:
        raise UserError(f"--to {to} writes a folder, and {out} is a file's name.")
    from trifocal.api import onnx_files, sentence_folder

    kinds = {"onnx": onnx_files.KIND, "sentence-transformers": sentence_folder.KIND}
    check_folder(out, kinds.get(to, TRANSFORMERS), force=force)


def export(
    model: str | os.PathLike[str] | Model | Clip,
    out: str | os.PathLike[str],
    to: Format = "transformers",
    *,
    force: bool = False,
    activation: str | None = None,
    tokenizer: str | os.PathLike[str] | None = None,
) -> Path:
    """Write a model, with what it was tuned to merged into it, in another library's format.

    Args:
        model: What `trifocal.load` takes; for "onnx" also the folder of a few-shot classifier.
        out: A folder; for "open_clip" also a `.pt` or `.safetensors` file.
        to: "transformers" (`CLIPModel.from_pretrained(out)`), "open_clip" (`local-dir:OUT` there),
            "sentence-transformers" (`SentenceTransformer(out)`), or "onnx".
        force: Replace what an earlier export wrote there.
        activation: See `load`.
        tokenizer: See `load`.

    Returns:
        `out`.

    Raises:
        UserError: the model cannot be had, the format cannot hold it, or there is something at `out`.

    Example:
        >>> import trifocal
        >>> folder = trifocal.export("builtin", "mine", to="open_clip")
        >>> trifocal.load(folder).encode_text("a red ball").shape
        torch.Size([128])
    """
    from trifocal.api.model import load

    if isinstance(model, str | os.PathLike):
        check_apart(out, str(model))
    check_export(out, to, force=force)
    if isinstance(model, str | os.PathLike) and Path(model, _HEAD).is_file():
        if to != "onnx":
            raise UserError(f"{model} is a few-shot classifier, which only onnx can hold.")
        from trifocal.api.onnx_files import save_onnx_classifier
        from trifocal.concepts.head_files import load_head
        from trifocal.concepts.head_registry import HEADS

        saved = load_head(model, HEADS)
        clip = load(saved.backbone.name, "cpu", activation=activation, tokenizer=tokenizer).clip
        if clip.fingerprint() != saved.backbone.sha256:
            raise UserError(
                f"{model} was fitted to another backbone than {saved.backbone.name!r} is now; fit "
                "the classifier again."
            )
        save_onnx_classifier(saved, clip, out, force=force)
        return Path(out)
    clip = load(model, "cpu", activation=activation, tokenizer=tokenizer).clip
    if to == "onnx":
        from trifocal.api.onnx_files import save_onnx as write
    elif to == "sentence-transformers":
        from trifocal.api.sentence_folder import save_sentence_transformers as write
    else:
        write = save_open_clip if to == "open_clip" else save_pretrained
    write(clip, Path(out), force=force)
    return Path(out)
