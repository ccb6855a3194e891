"""The learning rate, against the numbers of the published schedule."""

from __future__ import annotations

import pytest

from trifocal.train.schedule import epoch_learning_rate, learning_rate


@pytest.mark.parametrize(
    ("step", "value"),
    [
        (0, 1.000000e-07),
        (24, 2.500000e-06),
        (49, 5.000000e-06),
        (50, 5.000000e-06),
        (500, 4.345892e-06),
        (1000, 2.520560e-06),
        (1959, 3.381761e-12),
    ],
)
def test_known_values(step, value):
    assert learning_rate(step, base=5e-6, warmup=50, total=1960) == pytest.approx(value, rel=1e-6)


def test_corners():
    assert learning_rate(0, base=1.0, warmup=0, total=10) == 1.0
    assert learning_rate(5, base=1.0, warmup=0, total=10) == pytest.approx(0.5)
    assert learning_rate(3, base=1.0, warmup=10, total=4) == pytest.approx(0.4)
    assert learning_rate(4, base=1.0, warmup=4, total=4) == 1.0


@pytest.mark.parametrize(("epoch", "value"), [(0, 1e-5), (1, 2e-3), (26, 1e-3), (49, 7.885299e-6)])
def test_coops_epochs(epoch, value):
    """A constant first epoch, then the cosine over all epochs, so that the last is above zero."""
    found = epoch_learning_rate(epoch, base=2e-3, warmup=1, epochs=50, constant=1e-5)
    assert found == pytest.approx(value, rel=1e-5)


@pytest.mark.parametrize(
    ("step", "value"), [(0, 2e-4), (4000, 1.005e-4), (8000, 1e-6), (2000, 1.708571e-4)]
)
def test_clip_loras_cosine_ends_above_zero(step, value):
    found = learning_rate(step, base=2e-4, warmup=0, total=8000, floor=1e-6)
    assert found == pytest.approx(value, rel=1e-5)


def test_warm_up_in_epochs():
    assert epoch_learning_rate(1, base=1.0, warmup=4, epochs=8) == 0.5
    assert learning_rate(3, base=1.0, warmup=10, total=20, constant=0.1) == 0.1
