"""A data set divided where it comes without parts."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trifocal.concepts.datasets.dataset import LabeledImage
from trifocal.concepts.datasets.parts import divide
from trifocal.errors import UserError


def pool(counts: list[int]) -> list[LabeledImage]:
    return [LabeledImage(f"{c}/{i}.jpg", c) for c, count in enumerate(counts) for i in range(count)]


@pytest.mark.parametrize(
    ("count", "sizes"),
    [
        (1, (1, 0, 0)),
        (2, (1, 0, 1)),
        (3, (1, 1, 1)),
        (6, (3, 1, 2)),
        (10, (5, 2, 3)),
        (100, (50, 20, 30)),
    ],
)
def test_sizes(count: int, sizes: tuple[int, int, int]) -> None:
    assert tuple(map(len, divide(pool([count])))) == sizes


@given(
    st.lists(st.integers(1, 20), min_size=1, max_size=5),
    st.sampled_from([(0.2, 0.3), (0, 0.5), (0.45, 0.45), (0, 0), (0.9, 0.05)]),
    st.integers(0, 9),
)
def test_each_picture_is_in_one_part(
    counts: list[int], shares: tuple[float, float], seed: int
) -> None:
    items = pool(counts)
    parts = divide(items, *shares, seed=seed)
    assert sorted(x.path for part in parts for x in part) == sorted(x.path for x in items)
    assert {x.label for x in parts[0]} == set(range(len(counts)))
    place = {item: i for i, item in enumerate(items)}
    for part in parts:
        assert [place[item] for item in part] == sorted(place[item] for item in part)
    assert divide(items, *shares, seed=seed) == parts


def test_another_class_changes_nothing_for_the_rest() -> None:
    few, more = divide(pool([7, 9])), divide(pool([7, 9, 5]))
    for one, other in zip(few, more, strict=True):
        assert one == [item for item in other if item.label < 2]


def test_another_seed_gives_another_division() -> None:
    items = pool([40])
    assert divide(items, seed=1)[2] != divide(items, seed=2)[2]
    assert Counter(map(len, divide(items, seed=1))) == Counter(map(len, divide(items, seed=2)))


@pytest.mark.parametrize("shares", [(0.5, 0.5), (-0.1, 0.2), (0, 1)])
def test_impossible_shares_are_refused(shares: tuple[float, float]) -> None:
    with pytest.raises(UserError, match="leave something for training"):
        divide(pool([3]), *shares)
