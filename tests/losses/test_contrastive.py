"""The tiled contrastive loss against the plain formulation, for value, gradient and memory."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from trifocal.losses import contrastive_loss
from trifocal.losses.contrastive import pair_loss


def plain(a: Tensor, b: Tensor, scale: Tensor, negatives: Tensor | None = None, blanks: int = 0):
    """The textbook loss over whole matrices."""
    labels = torch.arange(len(a))
    columns = b if negatives is None else torch.cat([b, negatives])
    rows = torch.cat([scale * a @ columns.T, a.new_zeros(len(a), blanks)], dim=1)
    return (F.cross_entropy(rows, labels) + F.cross_entropy(scale * b @ a.T, labels)) / 2


def leaves(
    count: int, width: int = 5, more: int = 0, seed: int = 0, unit: bool = False
) -> list[Tensor]:
    """a, b, scale and `more` negatives, float64, requiring gradients."""
    rng = torch.Generator().manual_seed(seed)
    rows = [
        torch.randn((size, width), generator=rng, dtype=torch.float64)
        for size in (count, count, more)
    ]
    if unit:
        rows = [F.normalize(x, dim=1) for x in rows]
    scale = torch.tensor(7.0, dtype=torch.float64)
    return [x.requires_grad_() for x in (rows[0], rows[1], scale, rows[2])]


class LargestResult(TorchDispatchMode):
    """Record the element count of the largest tensor that any operation returns."""

    def __init__(self) -> None:
        super().__init__()
        self.largest = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor):
            self.largest = max(self.largest, result.numel())
        return result


def test_v1() -> None:
    a = F.normalize(torch.sin(0.7 * torch.arange(32.0).double() + 0.1).view(4, 8), dim=1)
    b = F.normalize(torch.sin(0.9 * torch.arange(32.0).double() + 0.4).view(4, 8), dim=1)
    assert contrastive_loss(a, b, 10.0).item() == pytest.approx(3.317884, abs=1e-5)


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(1, 12),
    width=st.integers(1, 6),
    tile=st.integers(1, 14),
    more=st.integers(0, 9),
    blanks=st.integers(0, 3),
    seed=st.integers(0, 99),
)
def test_equals_the_plain_loss(
    count: int, width: int, tile: int, more: int, blanks: int, seed: int
) -> None:
    a, b, scale, negatives = inputs = leaves(count, width, more, seed)
    tiled = pair_loss(a, b, scale, negatives, blanks=blanks, tile=tile)
    expected = plain(a, b, scale, negatives, blanks)
    torch.testing.assert_close(tiled, expected, rtol=1e-10, atol=1e-10)
    for got, want in zip(
        torch.autograd.grad(3 * tiled, inputs),
        torch.autograd.grad(3 * expected, inputs),
        strict=True,
    ):
        torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("tile", [2, 3, 100])
def test_gradcheck(tile: int) -> None:
    a, b, scale, negatives = leaves(5, 3, 4)

    def loss(*inputs: Tensor) -> Tensor:
        return pair_loss(*inputs, blanks=1, tile=tile)

    assert torch.autograd.gradcheck(loss, (a, b, scale, negatives))


def test_single_precision_is_as_good_as_plain() -> None:
    inputs = [x.detach().float().requires_grad_() for x in leaves(300, 32, unit=True)[:3]]
    exact = leaves(300, 32, unit=True)[:3]
    for scale in (1.0, 100.0):
        inputs[2].data.fill_(scale)
        exact[2].data.fill_(scale)
        tiled, reference = contrastive_loss(*inputs, tile=128), plain(*exact)
        torch.testing.assert_close(tiled.double(), reference, rtol=1e-6, atol=1e-6)
        for got, want in zip(
            torch.autograd.grad(tiled, inputs), torch.autograd.grad(reference, exact), strict=True
        ):
            torch.testing.assert_close(got.double(), want, rtol=1e-5, atol=1e-6)


def test_no_result_is_as_large_as_the_logits() -> None:
    a, b, scale, _ = leaves(400, 8)
    with LargestResult() as seen:
        contrastive_loss(a, b, scale, tile=50).backward()
    assert seen.largest == 400 * 8  # the embeddings themselves; a tile has 2,500 elements
    with LargestResult() as seen:
        plain(a, b, scale).backward()
    assert seen.largest >= 400 * 400


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("autocast", [False, True])
def test_half_precision_inputs(dtype: torch.dtype, autocast: bool) -> None:
    a, b = (F.normalize(x, dim=1).to(dtype) for x in leaves(40, 16)[:2])
    half = [a.requires_grad_(), b.requires_grad_()]
    full = [x.detach().double().requires_grad_() for x in half]
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        loss = contrastive_loss(*half, 1 / 0.07, tile=16)
    expected = plain(*full, torch.tensor(1 / 0.07, dtype=torch.float64))
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss.double(), expected, rtol=1e-6, atol=1e-6)
    for got, want in zip(
        torch.autograd.grad(loss, half), torch.autograd.grad(expected, full), strict=True
    ):
        assert got.dtype == dtype
        torch.testing.assert_close(got.double(), want, rtol=0.02, atol=1e-4)


def test_autocast_leaves_the_logits_alone() -> None:
    a, b, scale = (x.detach().float().requires_grad_() for x in leaves(40, 16, unit=True)[:3])
    plainly = contrastive_loss(a, b, scale)
    expected = torch.autograd.grad(plainly, (a, b, scale))
    with torch.autocast("cpu", torch.bfloat16):
        loss = contrastive_loss(a, b, scale)
        got = torch.autograd.grad(loss, (a, b, scale))
    assert torch.equal(loss, plainly)
    assert all(torch.equal(x, y) for x, y in zip(got, expected, strict=True))


@pytest.mark.parametrize("size", [0.0, 1e-30, 1.0, 1e4])
def test_any_size_of_logits_is_finite(size: float) -> None:
    a, b, scale = (x.detach().float() for x in leaves(6)[:3])
    inputs = [(size * a).requires_grad_(), b.requires_grad_(), (scale * 100).requires_grad_()]
    loss = contrastive_loss(*inputs, tile=4)
    assert loss.isfinite()
    assert all(grad.isfinite().all() for grad in torch.autograd.grad(loss, inputs))


def test_one_pair_costs_nothing_and_none_is_zero() -> None:
    a, b, scale, _ = leaves(1)
    assert contrastive_loss(a, b, scale).item() == 0.0
    a, b, scale, _ = leaves(0)
    loss = contrastive_loss(a, b, scale)
    loss.backward()
    assert loss.item() == 0.0
    assert scale.grad is not None
    assert scale.grad.item() == 0.0


def test_frozen_side_gets_no_gradient_and_changes_nothing() -> None:
    a, b, scale, _ = leaves(6)
    expected = torch.autograd.grad(contrastive_loss(a, b, scale), a)[0]
    loss = contrastive_loss(a, b.detach(), scale.detach(), tile=4)
    torch.testing.assert_close(torch.autograd.grad(loss, a)[0], expected)


def test_second_derivatives_are_refused() -> None:
    a, b, scale, _ = leaves(4)
    with pytest.raises(RuntimeError, match="only once"):
        torch.autograd.grad(contrastive_loss(a, b, scale), a, create_graph=True)


def test_wrong_shapes_are_named() -> None:
    with pytest.raises(ValueError, match=r"\(3, 4\), \(2, 4\)"):
        contrastive_loss(torch.zeros(3, 4), torch.zeros(2, 4), 1.0)
    with pytest.raises(ValueError, match="tile"):
        contrastive_loss(torch.zeros(3, 4), torch.zeros(3, 4), 1.0, tile=0)
