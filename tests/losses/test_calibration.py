"""The calibrated loss: numbers of the authors' code, special cases, missing classes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from trifocal.losses import calibrated_loss
from trifocal.losses.calibration import calibrated_rows

LOGITS = torch.tensor([[2, 1, 0, -1], [0.5, 1.5, 0.25, 0], [3, 2.5, 0, 0]], dtype=torch.float64)
VALID = torch.tensor([[1, 1, 1], [1, 1, 0], [1, 0, 0]])
PUBLISHED = (2.0, 0.02)  # focusing and smoothing


@pytest.mark.parametrize(
    ("gamma", "smoothing", "missing", "rows", "mean"),
    [
        (0.0, 0.0, "zero", (0.440190, 1.629949, 0.534213), 0.868117),
        (2.0, 0.0, "zero", (0.055815, 1.053783, 0.091504), 0.400367),
        (0.0, 0.02, "zero", (0.470190, 1.624949, 0.539213), 0.878117),
        (2.0, 0.02, "zero", (0.085454, 1.049650, 0.094885), 0.409996),
        (2.0, 0.1, "zero", (0.204010, 1.033117, 0.108408), 0.448512),
        (2.0, 0.02, "mask", (0.085454, 0.905539, 0.070672), 0.353888),
    ],
)
def test_v3(gamma: float, smoothing: float, missing: Any, rows: tuple, mean: float) -> None:
    got = calibrated_rows(LOGITS, VALID, gamma, smoothing, missing)
    assert got.tolist() == pytest.approx(rows, abs=1e-5)
    loss = calibrated_loss(LOGITS, VALID, gamma, smoothing, missing)
    assert loss.item() == pytest.approx(mean, abs=1e-5)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 5), st.integers(1, 4), st.sampled_from([0.0, 0.1]), st.integers(0, 99))
def test_without_focus_it_is_smoothed_cross_entropy(
    rows: int, kinds: int, smoothing: float, seed: int
) -> None:
    rng = torch.Generator().manual_seed(seed)
    logits = torch.randn((rows, 1 + kinds), generator=rng, dtype=torch.float64)
    valid = torch.ones((rows, kinds), dtype=torch.bool)
    loss = calibrated_loss(logits, valid, 0.0, smoothing)
    truth = torch.zeros(rows, dtype=torch.long)
    torch.testing.assert_close(loss, F.cross_entropy(logits, truth, label_smoothing=smoothing))


@settings(max_examples=30, deadline=None)
@given(
    gamma=st.sampled_from([0.0, 0.5, 1.0, 2.0]),
    smoothing=st.sampled_from([0.0, 0.02]),
    missing=st.sampled_from(["mask", "zero"]),
    seed=st.integers(0, 99),
)
def test_gradcheck(gamma: float, smoothing: float, missing: Any, seed: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    logits = torch.randn((4, 4), generator=rng, dtype=torch.float64).requires_grad_()
    valid = torch.rand((4, 3), generator=rng) < 0.6
    assert torch.autograd.gradcheck(
        lambda x: calibrated_loss(x, valid, gamma, smoothing, missing), logits
    )


@pytest.mark.parametrize("missing", ["mask", "zero"])
def test_missing_columns_are_never_read(missing: Any) -> None:
    expected = calibrated_loss(LOGITS, VALID, *PUBLISHED, missing)
    poisoned = LOGITS.clone()
    poisoned[:, 1:][VALID == 0] = float("nan")
    poisoned.requires_grad_()
    loss = calibrated_loss(poisoned, VALID, *PUBLISHED, missing)
    torch.testing.assert_close(loss, expected)
    loss.backward()
    assert poisoned.grad is not None
    assert poisoned.grad.isfinite().all()
    assert torch.count_nonzero(poisoned.grad[:, 1:][VALID == 0]) == 0


@pytest.mark.parametrize("missing", ["mask", "zero"])
def test_rows_without_a_negative_do_not_count(missing: Any) -> None:
    valid = VALID.bool().clone()
    valid[1] = False
    logits = LOGITS.clone().requires_grad_()
    loss = calibrated_loss(logits, valid, *PUBLISHED, missing)
    torch.testing.assert_close(
        loss, calibrated_loss(LOGITS[[0, 2]], valid[[0, 2]], *PUBLISHED, missing)
    )
    loss.backward()
    assert logits.grad is not None
    assert torch.count_nonzero(logits.grad[1]) == 0


@pytest.mark.parametrize("rows", [0, 3])
def test_no_negative_at_all_is_zero_with_zero_gradient(rows: int) -> None:
    logits = torch.randn(rows, 4).requires_grad_()
    loss = calibrated_loss(logits, torch.zeros(rows, 3, dtype=torch.bool), *PUBLISHED)
    loss.backward()
    assert loss.item() == 0.0
    assert logits.grad is not None
    assert torch.count_nonzero(logits.grad) == 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("missing", ["mask", "zero"])
def test_saturated_logits_are_finite(dtype: torch.dtype, gamma: float, missing: Any) -> None:
    logits = torch.tensor([[1e4, -1e4], [-1e4, 1e4], [0, 0], [100, -100]]).to(dtype)
    logits.requires_grad_()
    valid = torch.tensor([[1], [1], [1], [0]])
    loss = calibrated_loss(logits, valid, gamma, 0.02, missing)
    loss.backward()
    assert loss.dtype == torch.float32
    assert loss.isfinite()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_the_focus_keeps_its_digits_when_the_answer_is_nearly_certain() -> None:
    single = calibrated_loss(torch.tensor([[20.0, 0.0]]), torch.ones(1, 1), 1.0, 0.02)
    exact = calibrated_loss(torch.tensor([[20.0, 0.0]]).double(), torch.ones(1, 1), 1.0, 0.02)
    torch.testing.assert_close(single.double(), exact, rtol=1e-5, atol=0.0)


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ValueError, match=r"\(2, 4\) and \(2, 4\)"):
        calibrated_loss(torch.zeros(2, 4), torch.ones(2, 4), *PUBLISHED)
    with pytest.raises(ValueError, match="'skip'"):
        calibrated_loss(LOGITS, VALID, *PUBLISHED, "skip")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="smoothing"):
        calibrated_loss(LOGITS, VALID, 2.0, 1.0)
