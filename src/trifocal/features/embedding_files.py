"""Embeddings of a list of pictures as a file for other programs: safetensors or parquet.

`NAME.safetensors` holds the tensor `embeddings` (N, D); `NAME.json` beside it the N names in their
order, the pictures that were left out, and the model. `NAME.parquet` has the columns `image` and
`embedding`, and the same facts in its schema's metadata.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from trifocal.errors import UserError, install
from trifocal.files import atomic_write, check_file, marker

KIND = "set of embeddings"
SUFFIXES = (".safetensors", ".parquet")


def check_embeddings(path: str | os.PathLike[str], *, force: bool = False) -> None:
    """Refuse a path that `write_embeddings` would refuse.

    Raises:
        UserError: its ending is none of `SUFFIXES`, something is there and `force` does not replace
            it, or pyarrow is wanted and absent.
    """
    file = Path(path)
    if file.suffix not in SUFFIXES:
        raise UserError(f"{path} does not end in {' or '.join(SUFFIXES)}; name the file so.")
    check_file(file, KIND, force=force)
    if file.suffix == ".safetensors":
        check_file(file.with_suffix(".json"), KIND, force=force)
    else:
        _pyarrow()


def write_embeddings(
    path: str | os.PathLike[str],
    names: Sequence[str],
    embeddings: Tensor,
    left_out: Sequence[tuple[str, str]],
    facts: dict[str, Any],
    *,
    force: bool = False,
) -> None:
    """Write embeddings (N, D) of N pictures.

    Args:
        path: See the top.
        names: N names.
        embeddings: (N, D), float32 or float16.
        left_out: Names of pictures without an embedding, and why.
        facts: Of the model.
        force: Replace an older file of this kind.

    Raises:
        UserError: see `check_embeddings`.
    """
    check_embeddings(path, force=force)
    file = Path(path)
    told = {**facts, "left_out": [{"image": name, "reason": why} for name, why in left_out]}
    if file.suffix == ".parquet":
        _write_parquet(file, names, embeddings, told, force)
        return
    beside = file.with_suffix(".json")
    with (
        atomic_write(beside, KIND, force=force) as words,
        atomic_write(file, KIND, force=force) as aside,
    ):
        save_file({"embeddings": embeddings.contiguous()}, aside)
        aside.chmod(words.stat().st_mode)  # safetensors' own is the owner's alone
        told |= {"images": list(names)}
        told |= {"trifocal": marker(KIND, {file.name: aside.stat().st_size})}
        words.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def _write_parquet(
    file: Path, names: Sequence[str], embeddings: Tensor, told: dict[str, Any], force: bool
) -> None:
    arrow, parquet = _pyarrow()
    flat = arrow.array(embeddings.flatten().numpy())
    columns = {
        "image": arrow.array([_text(name) for name in names], arrow.string()),
        "embedding": arrow.FixedSizeListArray.from_arrays(flat, embeddings.shape[1]),
    }
    table = arrow.table(columns).replace_schema_metadata({"trifocal": json.dumps(told)})
    with atomic_write(file, KIND, force=force) as aside:
        parquet.write_table(table, aside, compression="none")


def _text(name: str) -> str:
    """Return a name that is UTF-8, whatever bytes the file system has."""
    return name.encode("utf-8", "backslashreplace").decode()


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise UserError(
            f"a parquet file wants pyarrow; install it with {install('parquet')}, or end the name in "
            ".safetensors."
        ) from None
    return pyarrow, parquet
