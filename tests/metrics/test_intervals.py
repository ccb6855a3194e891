"""Intervals cover what they claim to cover."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from trifocal.metrics.intervals import bootstrap, over_seeds, paired_bootstrap, wilson


def test_wilson_equals_scipy():
    for right, n in ((0, 10), (7, 20), (399, 400), (12, 12)):
        ours = wilson(right / n, n)
        theirs = stats.binomtest(right, n).proportion_ci(0.95, method="wilson")
        assert ours.low == pytest.approx(theirs.low, abs=1e-9)
        assert ours.high == pytest.approx(theirs.high, abs=1e-9)


def test_wilson_of_nothing_knows_nothing():
    assert (wilson(0.0, 0).low, wilson(0.0, 0).high) == (0.0, 1.0)


def test_bootstrap_agrees_with_the_normal_interval():
    values = np.random.default_rng(1).random(2000) < 0.3
    ours = bootstrap(values)
    half = 1.96 * float(values.std()) / np.sqrt(len(values))
    assert ours.value == pytest.approx(values.mean())
    assert ours.half == pytest.approx(half, rel=0.1)


def test_bootstrap_covers():
    rng = np.random.default_rng(0)
    inside = 0
    for trial in range(200):
        interval = bootstrap(rng.random(100) < 0.5, samples=300, seed=trial)
        inside += interval.low <= 0.5 <= interval.high
    assert 0.90 <= inside / 200 <= 0.99


def test_pairing_sharpens_the_difference():
    rng = np.random.default_rng(0)
    hard = rng.random(500)
    before, after = hard < 0.50, hard < 0.54  # the same questions, a few more of them right
    paired = paired_bootstrap(after, before)
    assert paired.value == pytest.approx(after.mean() - before.mean())
    assert paired.low > 0
    assert paired.p < 0.01
    assert paired.half < bootstrap(after).half


def test_no_difference_is_not_significant():
    values = np.arange(50) % 2
    same = paired_bootstrap(values, values)
    assert (same.value, same.low, same.high) == (0, 0, 0)
    assert same.p == 1.0


def test_same_seed_same_interval():
    values = np.random.default_rng(3).random(40)
    assert bootstrap(values, seed=5) == bootstrap(values, seed=5)
    assert bootstrap(values, seed=5) != bootstrap(values, seed=6)


@pytest.mark.parametrize("values", [[], [[1.0, 2.0]]])
def test_nothing_to_resample_is_refused(values):
    with pytest.raises(ValueError, match="non-empty"):
        bootstrap(values)
    with pytest.raises(ValueError, match="equally long"):
        paired_bootstrap(values, [1.0])


def test_seeds():
    interval = over_seeds([1.0, 2.0, 3.0])
    assert interval.value == pytest.approx(2.0)
    assert interval.half == pytest.approx(stats.t.ppf(0.975, 2) / np.sqrt(3))
    assert over_seeds([4.0]).half == 0.0
