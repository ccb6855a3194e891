"""The toy set that the formulas' numbers are worked out on, in float64."""

from __future__ import annotations

import torch
from torch import Tensor


def rows(*values: tuple[float, ...]) -> Tensor:
    """Return a float64 matrix."""
    return torch.tensor(values, dtype=torch.float64)


SUPPORT = rows((1, 0, 0), (0.8, 0.6, 0), (0, 1, 0), (0, 0.8, 0.6), (0, 0, 1), (0.6, 0, 0.8))
LABELS = torch.tensor([0, 0, 1, 1, 2, 2])
TEXT = rows((0.8, 0.6, 0), (0, 0.8, 0.6), (0.6, 0, 0.8))
TEXT_2 = rows((0.6, 0.8, 0), (0, 1, 0), (0.36, 0.48, 0.8))
QUERY = rows((0.36, 0.48, 0.8))
EXACT = {"rtol": 0, "atol": 2e-9}  # the numbers are given to nine decimals


def near(found: Tensor, *expected: float) -> None:
    """Assert that a row has these nine-decimal numbers."""
    torch.testing.assert_close(
        found.flatten(), torch.tensor(expected, dtype=torch.float64), **EXACT
    )
