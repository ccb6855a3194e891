"""The learning rate, against the numbers of the published schedule."""

from __future__ import annotations

import pytest

from trifocal.train.schedule import learning_rate


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
