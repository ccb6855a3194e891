"""Classes in the parquet files of the Hub's data sets: a column of pictures, a column of classes.

The columns and the classes' names are read from the schema that `datasets` writes into each file
(`Image`, `ClassLabel`); without it, by the columns' usual names.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from trifocal.data.classes import natural
from trifocal.data.held import InTable, parquet_table
from trifocal.errors import UserError
from trifocal.evaluate.labeled.pictures import Labeled, several_classes

IMAGE_COLUMNS = ("image", "img", "webp", "jpg", "png", "jpeg")
LABEL_COLUMNS = ("label", "labels", "cls", "fine_label", "class", "target")
_PARTS = ("test", "validation", "valid", "val")  # a set without a test part is tested on the next


def find_parquet(root: Path, split: str) -> tuple[list[Path], str]:
    """Return the parquet files of a part, in order, and the part's name; none where there are none.

    They lie in the root, in `data/`, or in a folder of the part's name; the file's name begins with
    the part's. A lone file without a part in its name is taken as it is.
    """
    for part in dict.fromkeys((split, *(_PARTS if split == "test" else ()))):
        for folder in (root / part, root / "data" / part):
            found = _sorted(folder.glob("*.parquet"))
            if found:
                return found, part
        for folder in (root, root / "data"):
            found = _sorted(folder.glob(f"{part}*.parquet"))
            if found:
                return found, part
    every = _sorted(root.glob("*.parquet"))
    return (every, split) if len(every) == 1 else ([], split)


def read_parquet(root: Path, split: str) -> Labeled | None:
    """Return the pictures of a folder of parquet files; None where there are none.

    Raises:
        UserError: a file cannot be read, has no such columns, or a class is no number.
    """
    paths, part = find_parquet(root, split)
    if not paths:
        return None
    features = schema_of(paths[0])
    image = column_of(paths[0], features, "Image", IMAGE_COLUMNS)
    label = column_of(paths[0], features, "ClassLabel", LABEL_COLUMNS)
    images = list[InTable]()
    values = list[Any]()
    for path in paths:
        cells = parquet_table(path, [label]).column(0).to_pylist()
        images += [InTable(path, row, image) for row in range(len(cells))]
        values += cells
    names = _names(features.get(label))
    if values and isinstance(values[0], list):
        return Labeled(images, [], names, _several(values, names, str(paths[0])), part)
    if not values or any(type(value) is not int or value < 0 for value in values):
        raise UserError(f"{paths[0]} has classes in {label!r} that are no numbers from 0 on.")
    return Labeled(images, values, names, None, part)


def schema_of(path: Path) -> dict[str, Any]:
    """Return what `datasets` says of each column; nothing where another program wrote the file."""
    metadata = parquet_table(path, []).schema.metadata or {}
    try:
        features = json.loads(metadata[b"huggingface"])["info"]["features"]
    except (KeyError, ValueError, TypeError, RecursionError):
        return {}
    return features if isinstance(features, dict) else {}


def column_of(path: Path, features: Mapping[str, Any], kind: str, usual: Sequence[str]) -> str:
    """Return the column of a kind, or else the first of the usual names.

    Raises:
        UserError: there is neither.
    """
    named = [name for name, feature in features.items() if _kind(feature) == kind]
    there = [name for name in usual if name in named] or named
    if there:
        return there[0]
    columns = _columns(path)
    for name in usual:
        if name in columns:
            return name
    raise UserError(
        f"{path} has no column {' or '.join(usual[:3])}, only {', '.join(columns)}; get another "
        "form of the data set."
    )


def _columns(path: Path) -> list[str]:
    import pyarrow.parquet

    return pyarrow.parquet.ParquetFile(path).schema_arrow.names


def _sorted(paths: Any) -> list[Path]:
    return sorted(paths, key=lambda path: natural(path.name))


def _inner(feature: Any) -> Any:
    """Return what a list is a list of, in either of the ways that `datasets` writes it."""
    while isinstance(feature, list) and feature:
        feature = feature[0]
    if isinstance(feature, dict) and feature.get("_type") in ("Sequence", "List", "LargeList"):
        return _inner(feature.get("feature"))
    return feature


def _kind(feature: Any) -> str:
    inner = _inner(feature)
    return str(inner.get("_type")) if isinstance(inner, dict) else ""


def _names(feature: Any) -> tuple[str, ...] | None:
    inner = _inner(feature)
    names = inner.get("names") if isinstance(inner, dict) else None
    return tuple(map(str, names)) if isinstance(names, list) and names else None


def _several(
    values: Sequence[Sequence[Any]], names: Sequence[str] | None, source: str
) -> torch.Tensor:
    """Return which classes pictures have: lists of numbers where these have names, else 0 and 1."""
    if names is None:
        return several_classes(values, source)
    positives = torch.zeros(len(values), len(names), dtype=torch.bool)
    for row, numbers in enumerate(values):
        for number in numbers or ():
            if type(number) is not int or not 0 <= number < len(names):
                raise UserError(f"{source} has the class {number!r}, but {len(names)} classes.")
            positives[row, number] = True
    return positives
