"""Pairs, choices and groups; equality is an error."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch.nn.functional import normalize

from trifocal.metrics.choice import Outcome, first_wins, pair_correct, square


def shares(scores: torch.Tensor) -> dict[str, float]:
    return {name: float(one.right.double().mean()) for name, one in square(scores).items()}


def test_pair_ties_are_errors():
    right, wrong = torch.tensor([0.3, 0.3, 0.2]), torch.tensor([0.2, 0.3, 0.3])
    assert pair_correct(right, wrong).tolist() == [True, False, False]


def test_nan_is_never_right():
    nan = float("nan")
    assert not pair_correct(torch.tensor([nan, 1.0]), torch.tensor([0.0, nan])).any()
    assert not first_wins(torch.tensor([[nan, 0.0], [0.0, nan]])).right.any()


@settings(max_examples=200, deadline=None)
@given(
    st.integers(1, 5).flatmap(
        lambda width: st.lists(
            st.lists(st.integers(0, 3), min_size=width, max_size=width), min_size=1, max_size=6
        )
    )
)
def test_choice_equals_brute_force(rows):
    outcome = first_wins(torch.tensor(rows).float())
    assert outcome.right.tolist() == [all(one < row[0] for one in row[1:]) for row in rows]
    level = [max(row[1:], default=-1) == row[0] for row in rows]
    assert outcome.tied.tolist() == level


def test_a_question_with_fewer_candidates():
    scores = torch.tensor([[0.5, 0.4, -torch.inf], [0.5, 0.5, -torch.inf]])
    assert first_wins(scores).right.tolist() == [True, False]
    assert first_wins(scores).tied.tolist() == [False, True]


def test_two_outcomes_are_tied_if_none_is_lost():
    right, lost = torch.tensor([True, True, False, False]), torch.zeros(4, dtype=torch.bool)
    one = Outcome(right, ~right)
    other = Outcome(
        torch.tensor([True, False, True, False]), torch.tensor([False, True, False, False])
    )
    assert (one & other).right.tolist() == [True, False, False, False]
    assert (one & other).tied.tolist() == [False, True, True, False]
    assert (one & Outcome(lost, lost)).tied.tolist() == [False] * 4


@pytest.mark.parametrize(
    ("scores", "text", "image", "group"),
    [
        ([[0.30, 0.25], [0.28, 0.31]], True, True, True),
        ([[0.30, 0.30], [0.20, 0.40]], True, False, False),
        ([[0.50, 0.60], [0.10, 0.70]], True, False, False),
    ],
)
def test_group_cases_of_the_specification(scores, text, image, group):
    """V12 of the verification cases."""
    captions_by_pictures = torch.tensor([scores])
    outcome = shares(captions_by_pictures.transpose(1, 2))
    assert outcome == {"text": float(text), "image": float(image), "group": float(group)}


def test_random_groups_are_at_chance():
    generator = torch.Generator().manual_seed(0)
    outcome = shares(torch.randn(200_000, 2, 2, generator=generator))
    assert outcome["text"] == pytest.approx(1 / 4, abs=0.005)
    assert outcome["image"] == pytest.approx(1 / 4, abs=0.005)
    assert outcome["group"] == pytest.approx(1 / 6, abs=0.005)


def test_real_winoground_features(real_data):
    features = load_file(real_data / "features" / "winoground.safetensors")
    images = normalize(features["image"].float(), dim=1).reshape(400, 2, -1)
    texts = normalize(features["text"].float(), dim=1).reshape(400, 2, -1)
    outcome = shares(images @ texts.transpose(1, 2))
    # One group of the 400 is decided by 5e-6, less than float16 storage resolves.
    assert 100 * outcome["text"] == pytest.approx(34.75, abs=0.25)
    assert 100 * outcome["image"] == pytest.approx(11.00, abs=1e-6)
    assert 100 * outcome["group"] == pytest.approx(7.50, abs=1e-6)
