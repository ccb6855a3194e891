"""Rows and labels as scikit-learn's users hold them, checked as scikit-learn's estimators do."""

from __future__ import annotations

import warnings
from numbers import Number
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trifocal.errors import UserError


def as_rows(X: Any, name: str, width: int | None = None, *, views: bool = False) -> Tensor:
    """Return features as a float tensor (N, d), or (N, V, d) as it came.

    Args:
        X: An array, a tensor, or what NumPy makes an array of.
        name: Of the estimator, for error messages.
        width: d as it was fitted.
        views: Whether several views of a row may come.

    Raises:
        TypeError: a sparse matrix, or numbers that are none.
        UserError: another shape or width, no row, or numbers that are not finite.
    """
    if hasattr(X, "tocsr"):
        raise TypeError(f"{name} takes no sparse matrix; give X.toarray().")
    array = X.detach().cpu().numpy() if isinstance(X, Tensor) else np.asarray(X)
    if array.dtype.kind == "c":
        raise UserError(f"Complex data not supported: {name} takes real numbers.")
    if array.dtype.kind not in "fiub":
        try:
            array = array.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{name} takes rows of numbers ({error}).") from None
    if array.ndim != 2 and not (views and array.ndim == 3):
        raise UserError(
            f"{name} takes features (N, d), not of shape {array.shape}. "
            "Reshape your data: of one row, X.reshape(1, -1)."
        )
    if not len(array):
        raise UserError(f"{name} was given 0 sample(s), but a minimum of 1 is required.")
    if not array.shape[-1]:
        raise UserError(
            f"Found array with 0 feature(s) (shape={array.shape}) while a minimum of 1 is required."
        )
    if width is not None and array.shape[-1] != width:
        raise UserError(
            f"X has {array.shape[-1]} features, but {name} is expecting {width} features as input."
        )
    if array.dtype not in (np.float32, np.float64):
        array = array.astype(np.float64 if array.dtype.itemsize > 2 else np.float32)
    if not np.isfinite(array).all():
        raise UserError(f"{name}: X contains NaN or infinity; leave those rows out.")
    return torch.tensor(array)  # a copy: what a head keeps is its own


def as_labels(y: Any, count: int, name: str) -> np.ndarray:
    """Return N labels, whatever they are: texts, numbers, booleans.

    Raises:
        UserError: there are none, they are not N or of several kinds, or some name no class.
    """
    if y is None:
        raise UserError(f"{name} requires y to be passed, but the target y is None.")
    labels = y.detach().cpu().numpy() if isinstance(y, Tensor) else np.asarray(y)
    if labels.ndim == 2 and labels.shape[1] == 1:
        warnings.warn(
            "A column-vector y was passed when a 1d array was expected; it was flattened.",
            _conversion_warning(),
            stacklevel=3,
        )
        labels = labels[:, 0]
    if labels.shape != (count,):
        raise UserError(f"y must be ({count},), a label for each row of X, not {labels.shape}.")
    labels = _of_one_kind(y, labels)
    if labels.dtype.kind == "f":
        if not np.isfinite(labels).all():
            raise UserError("y contains NaN or infinity; leave those rows out.")
        if not (labels == np.floor(labels)).all():
            raise UserError(
                "Unknown label type: continuous numbers name no class; give texts or integers."
            )
    return labels


def check_comparable(given: np.ndarray, classes: np.ndarray) -> None:
    """Refuse labels that can never equal those that were fitted: texts beside numbers.

    Raises:
        UserError: one of them is texts and the other numbers.
    """
    theirs, ours = _kind(given[0]), _kind(classes[0])
    if theirs != ours:
        raise UserError(
            f"y holds {theirs} such as {given.tolist()[0]!r}, and the classifier was fitted to {ours} "
            f"such as {classes.tolist()[0]!r}; give labels of the same kind."
        )


def _of_one_kind(y: Any, labels: np.ndarray) -> np.ndarray:
    """Return labels that can be told apart and sorted; numbers in an object array as numbers."""
    came = y if isinstance(y, list | tuple) else labels.tolist() if labels.dtype == object else ()
    if any(label is None or label != label for label in came):
        raise UserError("y contains None or NaN, which name no class; leave those rows out.")
    kinds = sorted({_kind(label) for label in came})
    if len(kinds) > 1:
        raise UserError(f"y mixes {' and '.join(kinds)}; give labels of one kind.")
    return np.asarray(came) if labels.dtype == object and kinds == ["numbers"] else labels


def _kind(label: Any) -> str:
    if isinstance(label, str | bytes):
        return "texts"
    return "numbers" if isinstance(label, Number | np.number | np.bool_) else "other objects"


def _conversion_warning() -> type[Warning]:
    """Return scikit-learn's own kind where it is installed, which its users may silence."""
    try:
        from sklearn.exceptions import (  # pyright: ignore[reportMissingImports]
            DataConversionWarning,
        )
    except ImportError:
        return UserWarning
    return DataConversionWarning
