"""The WiSE-FT curve."""

from __future__ import annotations

import pytest

from trifocal.errors import UserError
from trifocal.evaluate.benchmarks.world import world_suite
from trifocal.evaluate.curve import DEFAULT_ALPHAS, parse_alphas, wise_ft_curve
from trifocal.metrics.result import Result
from trifocal.tuning import interpolate


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0,0.5,1", (0.0, 0.5, 1.0)),
        ("0.3", (0.3,)),
        ("0,0.1,...,1", DEFAULT_ALPHAS),
        ("0, 0.25, …, 1", (0.0, 0.25, 0.5, 0.75, 1.0)),
    ],
)
def test_positions(text, expected):
    assert parse_alphas(text) == expected


@pytest.mark.parametrize(
    "text", ["", "a", "0,2", "-1,0", "0.5,0.2", "0,...,1", "0,0,...,1", "0,0.1,..."]
)
def test_wrong_positions_are_refused(text):
    with pytest.raises(UserError, match="interpolation positions"):
        parse_alphas(text)


def test_points_are_measured_in_order():
    seen = []

    def measure(model):
        seen.append(model)
        return [Result("b", "t", "acc", model / 2, 1)]

    curve = wise_ft_curve(lambda alpha: alpha, measure, (0, 0.5, 1))
    assert seen == [0, 0.5, 1]
    assert [point.value("b", "t", "acc") for point in curve] == [0, 0.25, 0.5]
    with pytest.raises(UserError, match="no result row for b, t, acc5"):
        curve[0].value("b", "t", "acc5")


def test_the_ends_of_the_line_are_the_two_models(tiny_clips):
    base, tuned = tiny_clips
    small = {"classification": 20, "retrieval": 8, "composition": 4}
    curve = wise_ft_curve(
        lambda alpha: interpolate(base, tuned, alpha),
        lambda model: world_suite(model, **small),
        (0, 0.5, 1),
    )
    for point, model in ((curve[0], base), (curve[-1], tuned)):
        expected = [row.value for row in world_suite(model, **small)]
        assert [row.value for row in point.rows] == expected
    assert curve[1].rows[0].model == "tiny-1@0.5"
