"""Features that somebody else computed: safetensors files of a fixed layout.

A data set's file holds `train1`, `train2`, ... (n, d) with the support pictures of that many shots,
perhaps `val` and `test`, and for each the labels as `<name>_label` (n,). A text file holds features
of texts (n, d) under names of one's own; what the texts say stands beside it, for the tensor `lvis`
in `lvis_names.json`, a JSON list of n strings. Dumps of few-shot repositories (`.pt`, `.pkl`) are
pickles, which run whatever code is in them when they are opened; they are refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from trifocal.errors import UserError, nearest

_PART = re.compile(r"train\d+|val|test")
_MAX_NAMES = 64 << 20  # bytes; no list of names is longer
# How a pickle starts: protocols 2 to 5, and the zip file that torch.save writes.
_PICKLES = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK\x03\x04")
_PICKLE_SUFFIXES = (".pt", ".pth", ".pkl", ".pickle", ".bin", ".npy", ".npz")


@dataclass(frozen=True)
class NamedFeatures:
    """Features of texts, and what the texts are about.

    Attributes:
        features: (n, d) float32.
        names: n names; empty where they are not known.
    """

    features: Tensor
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.names and len(self.names) != len(self.features):
            raise ValueError(f"{len(self.names)} names for {len(self.features)} features")


def read_feature_file(path: str | Path) -> dict[str, tuple[Tensor, Tensor]]:
    """Return features (n, d) float32 and labels (n,) of every part of a data set's file.

    Args:
        path: The file; see the top of this module.

    Raises:
        UserError: it is missing, a pickle, damaged, or laid out in another way.
    """
    file = Path(path)
    tensors = _tensors(file)
    parts: dict[str, tuple[Tensor, Tensor]] = {}
    for name in sorted(tensors):
        if _PART.fullmatch(name):
            labels = tensors.get(f"{name}_label")
            if labels is None:
                raise UserError(f"{file} has {name} but no {name}_label; add the labels.")
            parts[name] = _checked_part(file, name, tensors[name], labels)
    if not any(name.startswith("train") for name in parts):
        raise UserError(
            f"{file} has no train1, train2, ... (it has {', '.join(sorted(tensors)) or 'nothing'});"
            " save the support features under these names, with train1_label and so on."
        )
    widths = {features.shape[1] for features, _ in parts.values()}
    if len(widths) > 1:
        raise UserError(
            f"the parts of {file} have features of several widths ({sorted(widths)}); compute them "
            "with one backbone."
        )
    return parts


def read_named_features(path: str | Path, keys: Sequence[str]) -> NamedFeatures:
    """Return the text features that a file holds under some names, one after another.

    Args:
        path: The file.
        keys: Names of tensors in it.

    Raises:
        UserError: the file is missing, a pickle or damaged, has no such tensor, or the list of
            names beside it does not fit.
    """
    file = Path(path)
    tensors = _tensors(file)
    rows: list[Tensor] = []
    names: list[str] = []
    for key in keys:
        if key not in tensors:
            raise UserError(
                f"{file} has no {key!r}; it has {', '.join(sorted(tensors))}."
                f"{nearest(key, tensors)}"
            )
        features = _checked_features(file, key, tensors[key])
        rows.append(features)
        names += _names(file.with_name(f"{key}_names.json"), key, len(features))
    if not rows or len({each.shape[1] for each in rows}) > 1:
        raise UserError(f"{', '.join(keys) or 'nothing'} of {file} cannot stand in one list.")
    return NamedFeatures(torch.cat(rows), tuple(names))


def _tensors(file: Path) -> dict[str, Tensor]:
    """Read all tensors of a safetensors file."""
    if not file.is_file():
        raise UserError(f"there is no feature file {file}.")
    try:
        with safe_open(file, "pt") as opened:
            return {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
    except OSError as error:
        raise UserError(f"{file} cannot be read ({error.strerror or error}).") from None
    except (SafetensorError, ValueError) as error:
        if _is_pickle(file):
            raise UserError(
                f"{file} is a pickle or of another format, and pickles run any code that is in "
                "them; load it where you trust it, and save the tensors with "
                "safetensors.torch.save_file({'train1': ..., 'train1_label': ...}, path)."
            ) from None
        raise UserError(f"{file} is no whole safetensors file ({error}); get it again.") from None


def _is_pickle(file: Path) -> bool:
    """Return whether a file that is no safetensors file looks like a pickle.

    One that is begins with the length of its header, which may be the same bytes.
    """
    if file.suffix.lower() in _PICKLE_SUFFIXES:
        return True
    with file.open("rb") as handle:
        return handle.read(4).startswith(_PICKLES)


def _checked_part(file: Path, name: str, features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    features = _checked_features(file, name, features)
    whole = not labels.dtype.is_floating_point and not labels.dtype.is_complex
    if labels.shape != (len(features),) or not whole or int(labels.min()) < 0:
        raise UserError(
            f"{name}_label of {file} must be {len(features)} integers from 0 on, one a row of "
            f"{name}, not {labels.dtype} of shape {tuple(labels.shape)}."
        )
    return features, labels.long()


def _checked_features(file: Path, name: str, features: Tensor) -> Tensor:
    if features.ndim != 2 or not features.numel() or not features.dtype.is_floating_point:
        raise UserError(
            f"{name} of {file} must be rows of features (n, d), not {features.dtype} of shape "
            f"{tuple(features.shape)}."
        )
    features = features.float()
    if not bool(features.isfinite().all()):
        raise UserError(
            f"{name} of {file} holds numbers that are not finite; compute the features again."
        )
    return features


def _names(file: Path, key: str, count: int) -> list[str]:
    """Return the names beside a text file, or the key with a number where there are none."""
    if not file.is_file():
        return [f"{key} {number}" for number in range(count)]
    try:
        if file.stat().st_size > _MAX_NAMES:
            raise ValueError
        names = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(f"{file} is not a JSON list of names; mend it or remove it.")
    if len(names) != count:
        raise UserError(f"{file} has {len(names)} names for {count} features; they must agree.")
    return names
