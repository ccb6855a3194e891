"""Find a CLIP's tensors in what a training script saved around them.

Scripts wrap a state dict in tables ({"model_state_dict": ...}) and its names in prefixes
(`module.`, `_orig_mod.`, `model.`, `clip_model.`), in any order. A tensor that every CLIP has shows
where the names begin.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from trifocal.errors import UserError

_EVERY_CLIP = ("visual.conv1.weight", "vision_model.embeddings.patch_embedding.weight")
# Data parallelism, torch.compile, FSDP and activation checkpointing; around any module.
_WRAPPERS = {"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
_NOT_WEIGHTS = {"attn_mask", "input_resolution", "context_length", "vocab_size"}
_DEPTH = 8


def unwrap(content: object, source: str) -> dict[str, Tensor]:
    """Return the tensors of a loaded file under the names that their library gives them.

    Raises:
        UserError: it holds no tensors, several CLIPs, or LoRA factors that are not merged.
    """
    tables = dict(_tables(content, "", _DEPTH))
    if not tables:
        raise UserError(f"{source} is not a checkpoint: it holds no table of tensors.")
    found = [(where, prefix) for where, table in tables.items() for prefix in _prefixes(table)]
    if len(found) > 1:
        names = ", ".join(
            repr(".".join(filter(None, [w, p.rstrip(".")])) or "itself") for w, p in found
        )
        raise UserError(
            f"{source} holds several CLIPs ({names}); save the one that is meant alone in a file."
        )
    where, prefix = found[0] if found else (next(iter(tables)), "")
    state: dict[str, Tensor] = {}
    for key, value in tables[where].items():
        name = _without_wrappers(key).removeprefix(prefix)
        if name in state:
            raise UserError(
                f"{source} holds {name!r} twice ({key!r} is one); save one model alone in a file."
            )
        state[name] = value
    if "text.token_embedding.weight" in state:  # open_clip's class with a separate text tower
        state = {key.removeprefix("text."): value for key, value in state.items()}
    if any("lora_" in key.lower() for key in state):
        raise UserError(
            f"{source} holds LoRA factors that are not merged into the weights; "
            "merge them with the code that trained them, save the full model, and load that."
        )
    return {key: value for key, value in state.items() if key not in _NOT_WEIGHTS}


def _tables(content: object, where: str, depth: int) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Yield the tables of tensors in nested tables, the outermost first."""
    if not isinstance(content, Mapping):
        return
    named: list[tuple[str, Any]] = [(k, v) for k, v in content.items() if isinstance(k, str)]
    tensors = {key: value for key, value in named if isinstance(value, Tensor)}
    if tensors:
        yield where, tensors
    for key, value in named if depth else ():
        yield from _tables(value, f"{where}.{key}" if where else key, depth - 1)


def _prefixes(table: Mapping[str, Tensor]) -> set[str]:
    """Return what stands before a CLIP's own names in a table, once for every CLIP in it."""
    keys = [_without_wrappers(key) for key in table]
    return {
        key.removesuffix(name)
        for key in keys
        for name in _EVERY_CLIP
        if key == name or key.endswith("." + name)
    }


def _without_wrappers(key: str) -> str:
    return ".".join(part for part in key.split(".") if part not in _WRAPPERS)
