"""Pairs, choices and groups; equality is an error."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch.nn.functional import normalize

from trifocal.metrics.choice import choice_correct, group_correct, pair_correct


def test_pair_ties_are_errors():
    right, wrong = torch.tensor([0.3, 0.3, 0.2]), torch.tensor([0.2, 0.3, 0.3])
    assert pair_correct(right, wrong).tolist() == [True, False, False]


def test_nan_is_never_right():
    nan = float("nan")
    assert not pair_correct(torch.tensor([nan, 1.0]), torch.tensor([0.0, nan])).any()
    assert not choice_correct(torch.tensor([[nan, 0.0], [0.0, nan]])).any()


@settings(max_examples=200, deadline=None)
@given(
    st.integers(1, 5).flatmap(
        lambda width: st.lists(
            st.tuples(
                st.lists(st.integers(0, 3), min_size=width, max_size=width),
                st.integers(0, width - 1),
                st.lists(st.booleans(), min_size=width, max_size=width),
            ),
            min_size=1,
            max_size=6,
        )
    )
)
def test_choice_equals_brute_force(rows):
    scores = torch.tensor([row[0] for row in rows]).float()
    answer = torch.tensor([row[1] for row in rows])
    valid = torch.tensor([row[2] for row in rows])
    expected = [
        all(line[i] < line[right] for i in range(len(line)) if i != right and kept[i])
        for line, right, kept in rows
    ]
    assert choice_correct(scores, answer, valid).tolist() == expected


def test_two_way_choice_is_a_pair():
    scores = torch.tensor([[0.5, 0.4], [0.4, 0.4], [0.1, 0.4]])
    assert torch.equal(choice_correct(scores), pair_correct(scores[:, 0], scores[:, 1]))


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
    outcome = group_correct(torch.tensor([scores]))
    assert outcome.scores() == {"text": float(text), "image": float(image), "group": float(group)}


def test_random_groups_are_at_chance():
    generator = torch.Generator().manual_seed(0)
    outcome = group_correct(torch.randn(200_000, 2, 2, generator=generator)).scores()
    assert outcome["text"] == pytest.approx(1 / 4, abs=0.005)
    assert outcome["image"] == pytest.approx(1 / 4, abs=0.005)
    assert outcome["group"] == pytest.approx(1 / 6, abs=0.005)


def test_real_winoground_features(real_data):
    features = load_file(real_data / "features" / "winoground.safetensors")
    images = normalize(features["image"].float(), dim=1).reshape(400, 2, -1)
    texts = normalize(features["text"].float(), dim=1).reshape(400, 2, -1)
    outcome = group_correct(texts @ images.transpose(1, 2)).scores()
    # One group of the 400 is decided by 5e-6, less than float16 storage resolves.
    assert 100 * outcome["text"] == pytest.approx(34.75, abs=0.25)
    assert 100 * outcome["image"] == pytest.approx(11.00, abs=1e-6)
    assert 100 * outcome["group"] == pytest.approx(7.50, abs=1e-6)
