"""Scores as float64 arrays, whoever computed them; no metric ranks what is not a number."""

from __future__ import annotations

from typing import Any

import numpy as np

from trifocal.errors import UserError


def as_array(values: Any, name: str, dimensions: int) -> np.ndarray:
    """Return a float64 array of a tensor (on any device), an array, or nested lists.

    Args:
        values: The numbers.
        name: What an error calls them.
        dimensions: How many dimensions they must have.

    Raises:
        UserError: There is a NaN among them; its place would be arbitrary.
        ValueError: They have another number of dimensions.
    """
    if hasattr(values, "detach"):
        # NumPy has no bfloat16, so the tensor is widened first.
        values = values.detach().double().cpu().numpy()
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != dimensions:
        raise ValueError(f"{name} have {array.ndim} dimensions instead of {dimensions}")
    if np.isnan(array).any():
        raise UserError(
            f"{name} hold NaN, so they have no order: the checkpoint is damaged or its training "
            "diverged; use an earlier one"
        )
    return array
