"""The search for alpha and beta: its grids, and the same winner as the loop it replaces."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor

from trifocal.concepts.search import (
    TIP_GRIDS,
    AlphaCounter,
    TipGrid,
    choose_scale,
    hold_out_one,
    search_alpha_beta,
    search_scale,
)
from trifocal.concepts.support import unit
from trifocal.errors import UserError


def loop(
    base: Tensor,
    affinity: Tensor,
    onehot: Tensor,
    labels: Tensor,
    alphas: list[float],
    betas: list[float],
) -> tuple[int, float, float]:
    """The released code's search: all of it anew at every grid point."""
    best = (-1, 0.0, 0.0)
    for beta in betas:
        for alpha in alphas:
            cache = (-beta * (1 - affinity)).exp() @ onehot
            right = int(((base + alpha * cache).argmax(1) == labels).sum())
            if right > best[0]:
                best = (right, alpha, beta)
    return best


def counted(base: Tensor, branch: Tensor, labels: Tensor, alphas: list[float]) -> list[int]:
    return [int(((base + branch * alpha).argmax(1) == labels).sum()) for alpha in alphas]


def test_grids() -> None:
    grid = TIP_GRIDS["imagenet"]
    assert (len(grid.betas), len(grid.alphas)) == (200, 20)
    assert grid.betas[:2] == pytest.approx([0.1, 0.1345])
    assert grid.betas[-1] == pytest.approx(6.9655)
    assert grid.alphas[:2] == pytest.approx([0.1, 0.245])
    assert grid.alphas[-1] == pytest.approx(2.855)
    assert len(TIP_GRIDS) == 11
    assert TIP_GRIDS["oxford_flowers"] == TipGrid(50, 50, 10, 1)


@given(st.data())
def test_counts_are_the_loop_s(data: st.DataObject) -> None:
    n, classes = data.draw(st.integers(1, 8)), data.draw(st.integers(2, 5))
    # Multiples of a tenth tie often, by rounding or exactly; float32 rounds more.
    number = st.integers(-5, 5).map(lambda i: i / 10)
    matrix = st.lists(number, min_size=n * classes, max_size=n * classes)
    kind = data.draw(st.sampled_from([torch.float32, torch.float64]))
    base, branch = (torch.tensor(data.draw(matrix), dtype=kind).view(n, classes) for _ in range(2))
    labels = torch.tensor(data.draw(st.lists(st.integers(0, classes - 1), min_size=n, max_size=n)))
    alphas = data.draw(st.lists(st.sampled_from([0, 0.1, 0.25, 0.3, 1, 2, 7]), min_size=1))
    counts = AlphaCounter(base, labels, alphas)(branch.T.contiguous())
    assert counts.tolist() == counted(base, branch, labels, alphas)
    found = search_scale(base, branch, labels, alphas)
    assert alphas.index(found.alpha) == counts.tolist().index(int(counts.max()))
    assert found.accuracy == pytest.approx(int(counts.max()) / n)


@given(st.integers(0, 10_000))
def test_the_winner_is_the_loop_s(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    n, classes, width = (int(i) for i in torch.randint(2, 12, (3,), generator=generator))
    keys = torch.cat([torch.arange(classes), torch.randint(0, classes, (9,), generator=generator)])
    labels = torch.randint(0, classes, (n,), generator=generator)
    x, v, w = (
        unit(torch.randn(rows, width, generator=generator).double())
        for rows in (n, len(keys), classes)
    )
    grid = TipGrid(12, 5, 1)
    alphas, betas = grid.alphas[::3], grid.betas[::23]
    onehot = torch.nn.functional.one_hot(keys, classes).double()
    weights = torch.rand(len(keys), generator=generator).double()
    for weight in (None, weights):
        found = search_alpha_beta(10 * x @ w.T, x @ v.T, keys, labels, alphas, betas, weight)
        values = onehot if weight is None else onehot * weight[:, None]
        right, alpha, beta = loop(10 * x @ w.T, x @ v.T, values, labels, alphas, betas)
        assert (found.alpha, found.beta) == (alpha, beta)
        assert found.accuracy == right / n


def test_without_a_base_alpha_does_not_matter() -> None:
    branch, labels = torch.tensor([[0.2, 0.4], [0.5, 0.5]]), torch.tensor([1, 0])
    counts = AlphaCounter(torch.zeros(2, 2), labels, [0.5, 3])(branch.T.contiguous())
    assert counts.tolist() == [2, 2]


def test_negative_alphas_are_refused() -> None:
    with pytest.raises(ValueError, match="must not be negative"):
        AlphaCounter(torch.zeros(1, 2), torch.tensor([0]), [-1])


def test_among_equals_the_scale_of_the_lowest_loss() -> None:
    base, branch = torch.tensor([[2.0, 0.0]]), torch.tensor([[5.0, 0.0]])
    assert choose_scale(base, branch, torch.tensor([0]), [0.1, 10.0]) == 10
    assert choose_scale(base, -branch, torch.tensor([0]), [0.1, 10.0]) == 0.1


@given(st.lists(st.integers(0, 3), min_size=0, max_size=12), st.integers(0, 99))
def test_one_of_each_class_is_held_out(more: list[int], seed: int) -> None:
    labels = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3, *more])
    kept, held = hold_out_one(labels, seed)
    assert sorted([*kept.tolist(), *held.tolist()]) == list(range(len(labels)))
    assert sorted(labels[held].tolist()) == [0, 1, 2, 3]
    again = hold_out_one(labels, seed)
    assert torch.equal(again[1], held)


def test_a_single_image_cannot_be_held_out() -> None:
    with pytest.raises(UserError, match="class 1 has a single support image"):
        hold_out_one(torch.tensor([0, 0, 1]), 0)


@pytest.mark.slow
def test_real_features_have_the_loop_s_winner(real_data: Path) -> None:
    features = load_file(real_data / "features" / "caltech101.safetensors")
    v, x = unit(features["train1"].double()), unit(features["val"].double())
    keys, labels = features["train1_label"].long(), features["val_label"].long()
    grid = TIP_GRIDS["caltech101"]
    # No names of all classes are at hand: shifted images stand in for the texts.
    base = 60 * x @ unit(v + v.roll(7, 0)).T
    found = search_alpha_beta(base, x @ v.T, keys, labels, grid.alphas, grid.betas)
    onehot = torch.nn.functional.one_hot(keys).double()
    right, alpha, beta = loop(base, x @ v.T, onehot, labels, grid.alphas, grid.betas)
    assert (found.alpha, found.beta, found.accuracy) == (alpha, beta, right / len(labels))
