"""Files of weights: one file, or several with an index; and what their tensors must be.

Foreign `.pt` and `.bin` files are read with `weights_only=True`, so that they cannot run code.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from trifocal.errors import UserError

if TYPE_CHECKING:
    from hashlib import _Hash as Hash

SUFFIXES = (".safetensors", ".pt", ".pth", ".bin")
INDEX = ".index.json"
_FLOATS = {torch.float16, torch.bfloat16, torch.float32, torch.float64}


def read_tensors(path: Path) -> Any:
    """Return what a weights file holds; the tensors of all files where it is an index of several.

    Raises:
        UserError: A file is missing, damaged, or holds more than tensors.
    """
    if not path.name.endswith(INDEX):
        return _read_file(path)
    state: dict[str, Tensor] = {}
    for name in shards(path):
        if not (path.parent / name).is_file():
            raise UserError(f"{path} names {name}, which is not there; fetch every file it names.")
        part = _read_file(path.parent / name)
        twice = next((key for key in part if key in state), None)
        if twice is not None:
            raise UserError(f"{path} is ambiguous: two of its files hold {twice!r}; keep one.")
        state.update(part)
    return state


def shards(index: Path) -> tuple[str, ...]:
    """Return the names of the files, in an index's folder, that together are a checkpoint.

    Raises:
        UserError: It is not an index of weights.
    """
    content = read_json(index) or {}
    names = content.get("weight_map")
    if not isinstance(names, dict) or not names:
        raise UserError(f"{index} is not an index of weights: it has no weight_map.")
    for name in names.values():
        if not isinstance(name, str) or name != Path(name).name or name[:1] == ".":
            raise UserError(f"{index} names {name!r}, which is not a file beside it.")
        if Path(name).suffix not in SUFFIXES:
            raise UserError(f"{index} names {name!r}; weights end in {', '.join(SUFFIXES)}.")
    return tuple(dict.fromkeys(names.values()))


def as_floats(state: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    """Return weights in float32.

    Raises:
        UserError: A tensor is not of floats, or holds a number that is not finite.
    """
    result = {}
    for key, value in state.items():
        if value.dtype not in _FLOATS:
            kind = str(value.dtype).removeprefix("torch.")
            raise UserError(
                f"{source} holds {key!r} in {kind}; take the weights from before they were "
                "quantized (float32, float16 or bfloat16)."
            )
        result[key] = value.float()
        if not torch.isfinite(result[key]).all():
            raise UserError(
                f"{source} is damaged: {key!r} holds numbers that are not finite (NaN or infinite); "
                "take a checkpoint from before training diverged, or fetch the file again."
            )
    return result


def hash_weights(digest: Hash, state: Mapping[str, Tensor]) -> None:
    """Let a digest take in weights: their names in order, types, shapes and bytes."""
    for name, value in sorted(state.items()):
        digest.update(repr((name, str(value.dtype), tuple(value.shape))).encode())
        flat = value.detach().cpu().contiguous().view(-1).view(torch.uint8)
        digest.update(flat.numpy().data)


def read_json(path: Path) -> dict[str, Any] | None:
    """Return a JSON file's table; None where there is no such file.

    Raises:
        UserError: It is not JSON, or not a table.
    """
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not JSON: {error}.") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} is not a table of fields, but {type(content).__name__}.")
    return content


def _read_file(path: Path) -> Any:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file raises almost anything
        reason = str(error).strip().splitlines()[0].rstrip(".") if str(error).strip() else "empty"
        if "TorchScript" in str(error):
            reason = "it is a TorchScript archive; take the same weights from the Hub"
        elif "weights_only" in str(error).lower():
            reason = "it holds more than tensors, or no tensors at all"
        raise UserError(f"{path} cannot be read as a checkpoint: {reason}.") from error
