"""A picture as a few concepts: what is found, how much of it, and what is left."""

from __future__ import annotations

from itertools import combinations, pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import nnls
from torch import Tensor

from trifocal.concepts.sparse import sparse_code
from trifocal.concepts.support import unit

WIDTH = 12


def draw(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def left(point: Tensor, concepts: Tensor, count: int) -> Tensor:
    """Return what concepts do not explain."""
    found, shares = sparse_code(point, concepts, count)
    return point - shares @ concepts[found]


# --- what is found ------------------------------------------------------------------------


@pytest.mark.parametrize("tilt", [0.0, 0.02])
def test_a_combination_of_few_concepts_is_found_exactly(tilt: float) -> None:
    """As long as the concepts are nearly orthogonal; what holds most of it is found first."""
    axes, _ = torch.linalg.qr(draw(WIDTH, WIDTH))
    concepts = unit(axes + tilt * draw(WIDTH, WIDTH, seed=1))
    places, expected = torch.tensor([7, 2, 9]), torch.tensor([0.8, 0.5, 0.3]).double()
    found, shares = sparse_code(expected @ concepts[places], concepts, 3)
    assert torch.equal(found, places)
    torch.testing.assert_close(shares, expected)
    # More are not made use of: nothing is left for them.
    found, shares = sparse_code(expected @ concepts[places], concepts, WIDTH)
    assert torch.equal(found, places)
    torch.testing.assert_close(shares, expected)


def test_opposites_are_not_used() -> None:
    """What a picture is the opposite of does not describe it."""
    axes = torch.eye(3, dtype=torch.float64)
    found, shares = sparse_code(unit(torch.tensor([1.0, -2.0, 0.5]).double()), axes, 3)
    assert found.tolist() == [0, 2]
    torch.testing.assert_close(shares, torch.tensor([1.0, 0.5]).double() / 5.25**0.5)


def test_a_concept_named_twice_counts_once() -> None:
    concepts = unit(draw(5, WIDTH))
    point = unit(concepts.sum(0))
    found, shares = sparse_code(point, concepts, 16)
    again, same = sparse_code(point, torch.cat([concepts, concepts]), 16)
    assert torch.equal(again % 5, found)
    torch.testing.assert_close(same, shares)


def test_a_concept_that_others_make_superfluous_is_dropped() -> None:
    """The greedy first choice is between the two axes, which then account for everything."""
    concepts = unit(torch.tensor([[1.0, 1.0, 0.2], [1, 0, 0], [0, 1, 0]]).double())
    found, shares = sparse_code(torch.tensor([0.8, 0.6, 0]).double(), concepts, 3)
    assert found.tolist() == [1, 2]
    torch.testing.assert_close(shares, torch.tensor([0.8, 0.6]).double())


@given(st.integers(1, 8), st.integers(0, 99))
def test_two_are_no_worse_than_one_and_no_better_than_the_best_two(count: int, seed: int) -> None:
    concepts, point = unit(draw(count, 4, seed=seed)), unit(draw(4, seed=seed + 100))
    one, two = (float(left(point, concepts, k).norm()) for k in (1, 2))
    # The first is the best there is.
    alone = point - (concepts @ point).clamp_min(0)[:, None] * concepts
    assert one == pytest.approx(float(alone.norm(dim=1).min()), abs=1e-7)
    pairs = [
        nnls(concepts[list(pair)].T.numpy(), point)[1] for pair in combinations(range(count), 2)
    ]
    assert min([one, *pairs]) - 1e-9 <= two <= one + 1e-9


# --- what always holds --------------------------------------------------------------------


@given(st.integers(1, 40), st.integers(1, 16), st.integers(0, 99))
def test_shares_are_the_non_negative_least_squares_of_their_concepts(
    concepts: int, count: int, seed: int
) -> None:
    atoms, point = unit(draw(concepts, WIDTH, seed=seed)), unit(draw(WIDTH, seed=seed + 100))
    found, shares = sparse_code(point, atoms, count)
    assert found.shape == shares.shape
    assert len(found) <= min(count, concepts)
    assert len(found.unique()) == len(found)
    assert bool((shares > 0).all())
    expected, residual = nnls(atoms[found].T.numpy(), point.numpy()) if len(found) else ([], 1.0)
    torch.testing.assert_close(shares, torch.as_tensor(expected, dtype=torch.float64))
    rest = point - shares @ atoms[found]
    assert float(rest.norm()) == pytest.approx(residual)
    # What is left is orthogonal to all that were found.
    torch.testing.assert_close(atoms[found] @ rest, torch.zeros(len(found)).double())


@given(st.integers(1, 30), st.integers(0, 99))
def test_more_concepts_leave_less(concepts: int, seed: int) -> None:
    atoms, point = unit(draw(concepts, WIDTH, seed=seed)), unit(draw(WIDTH, seed=seed + 100))
    rests = [float(left(point, atoms, count).norm()) for count in range(17)]
    assert rests[0] == pytest.approx(1)
    assert all(after <= before + 1e-9 for before, after in pairwise(rests))


def test_concepts_on_all_sides_leave_next_to_nothing() -> None:
    """Steps end where no concept correlates with what is left by more than a ten-thousandth."""
    concepts = unit(draw(500, 4))
    assert float(left(unit(draw(4, seed=1)), concepts, 500).norm()) < 1e-3


def test_the_same_twice() -> None:
    concepts, point = unit(draw(200, WIDTH)), unit(draw(WIDTH, seed=1))
    first, second = (sparse_code(point, concepts, 16) for _ in range(2))
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])


# --- edges --------------------------------------------------------------------------------


def test_a_single_concept() -> None:
    concept = unit(draw(1, WIDTH))
    found, shares = sparse_code(0.7 * concept[0], concept, 16)
    assert found.tolist() == [0]
    assert float(shares) == pytest.approx(0.7)
    assert sparse_code(-concept[0], concept, 16)[0].tolist() == []


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_nothing_is_made_of_nothing(dtype: torch.dtype) -> None:
    concepts = unit(draw(5, WIDTH)).to(dtype)
    for point, atoms in (
        (torch.zeros(WIDTH, dtype=dtype), concepts),
        (concepts[0], torch.zeros(5, WIDTH, dtype=dtype)),  # centered, one concept is nothing
    ):
        found, shares = sparse_code(point, atoms, 16)
        assert found.shape == shares.shape == (0,)
        assert found.dtype == torch.long
        assert torch.equal(shares @ atoms[found], torch.zeros(WIDTH, dtype=dtype))


def test_the_precision_of_the_concepts_is_kept() -> None:
    concepts, point = unit(draw(20, WIDTH)), unit(draw(WIDTH, seed=1))
    found, shares = sparse_code(point, concepts, 6)
    again, rough = sparse_code(point.float(), concepts.float(), 6)
    assert rough.dtype == torch.float32
    assert torch.equal(again, found)
    torch.testing.assert_close(rough.double(), shares, rtol=1e-4, atol=1e-5)
