"""The expected calibration error."""

from __future__ import annotations

import pytest
import torch

from trifocal.metrics.calibration import calibration_error


def test_sure_and_right_is_no_error_and_sure_and_wrong_is_all_of_it() -> None:
    chances = torch.eye(3)
    assert calibration_error(chances, torch.tensor([0, 1, 2])) == 0
    assert calibration_error(chances, torch.tensor([1, 2, 0])) == 1


def test_by_hand() -> None:
    """Three answers of 0.6, of which one is right, and one of 0.9 that is: (3 x 0.267 + 0.1) / 4."""
    chances = torch.tensor([[0.6, 0.4]] * 3 + [[0.1, 0.9]])
    found = calibration_error(chances, torch.tensor([0, 1, 1, 1]))
    assert found == pytest.approx((3 * (0.6 - 1 / 3) + 0.1) / 4)


def test_honest_chances_have_little() -> None:
    generator = torch.Generator().manual_seed(0)
    honest = torch.randn(20000, 4, generator=generator).softmax(1)
    labels = torch.multinomial(honest, 1, generator=generator)[:, 0]
    assert calibration_error(honest, labels) < 0.02
    surer = honest.pow(4) / honest.pow(4).sum(1, keepdim=True)
    assert calibration_error(surer, labels) > 0.1
