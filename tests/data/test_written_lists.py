"""Lists written out in a cell are read in their order, and nothing is run."""

from __future__ import annotations

import pytest

from trifocal.data.written_lists import written_list


def test_lists_and_sets_keep_the_written_order():
    assert written_list("['b', \"a man's\"]") == ["b", "a man's"]
    assert written_list("{'z', 'a', 'm'}") == ["z", "a", "m"]
    assert written_list(r"['a\s']") == [r"a\s"]


@pytest.mark.parametrize("other", ["nan", "3", "('a', 'b')", "[open('x')]", "['a', b]"])
def test_another_expression_is_none(other):
    assert written_list(other) is None


@pytest.mark.parametrize("broken", ["['a'", "a dog", "\0", "[" * 5000])
def test_no_expression_is_refused(broken):
    with pytest.raises(ValueError, match=r"."):
        written_list(broken)
