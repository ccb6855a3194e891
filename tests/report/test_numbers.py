"""How numbers are written."""

from __future__ import annotations

import pytest

from trifocal.metrics.intervals import Difference
from trifocal.report.numbers import (
    p_text,
    percentage,
    seconds_text,
    shots_text,
    signed,
    thousands,
    trained_text,
)


@pytest.mark.parametrize(
    ("points", "text"), [(1.26, "+1.3"), (-0.5, "−0.5"), (0.04, "±0.0"), (-0.04, "±0.0")]
)
def test_signs(points, text):
    assert signed(points) == text


def test_a_sign_with_more_digits():
    assert [signed(value, 3) for value in (0.0126, -0.0126, 0.0004)] == [
        "+0.013",
        "−0.013",
        "±0.000",
    ]


def test_words_around_numbers():
    assert percentage(0.648) == "64.8\N{NO-BREAK SPACE}%"
    assert [shots_text(count) for count in (1, 16)] == ["1 shot", "16 shots"]
    assert [trained_text(*ends) for ends in ((0, 0), (20_000, 51_712))] == ["0", "20,000 – 51,712"]
    assert [thousands(count) for count in (0, 174_721, 1_550_000)] == ["–", "175 K", "1.55 M"]
    found = [Difference(0.1, 0.0, 0.2, p) for p in (0.0004, 0.041)]
    assert [p_text(one) for one in (None, *found)] == ["–", "< .001", ".041"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0"),
        (0.00123, "0.0012"),
        (0.53, "0.53"),
        (1.26, "1.3"),
        (0.0999, "0.1"),
        (9.97, "10"),
        (734.2, "734"),
    ],
)
def test_seconds_have_two_digits_that_count(seconds, text):
    assert seconds_text(seconds) == text
