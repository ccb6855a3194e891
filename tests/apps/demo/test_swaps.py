"""Which swapped captions are still true."""

from __future__ import annotations

import pytest

from trifocal.apps.demo.swaps import count_swaps, is_related, says_the_same
from trifocal.world.source import WorldCaptions


@pytest.mark.parametrize(
    ("caption", "swapped", "same"),
    [
        ("A heart and a star.", "A star and a heart.", True),
        ("a small striped ball", "a striped small ball", True),
        ("an orange tree and a ring", "an orange ring and a tree", False),
        ("a ball left of a cup", "a cup left of a ball", False),
        ("a small red ball left of a cup", "a red small ball left of a cup", True),
        ("A ball is above a cup.", "A cup is above a ball.", False),
        ("a heart and a star in a field", "a star and a heart in a field", True),
        ("a heart and a black star in a field", "a heart and a field in a black star", False),
        ("a moon in a room on a snowy day", "a room in a moon on a snowy day", False),
        ("In a field in the snow, a heart.", "In a heart in the snow, a field.", False),
    ],
)
def test_what_a_swap_says(caption: str, swapped: str, same: bool) -> None:
    assert says_the_same(caption, swapped) is same


def test_relations_are_found() -> None:
    assert is_related("A ball is left of a cup.")
    assert not is_related("a ball and a cup")


def test_where_all_is_related_hardly_a_swap_is_true() -> None:
    few, all_ = (
        count_swaps(WorldCaptions(seed=1, kinds=10, relation=share), "textblob", 60)
        for share in (0.0, 1.0)
    )
    assert few.related == 0
    assert few.true / few.made > all_.true / all_.made
