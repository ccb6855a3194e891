"""How sure answers may be: scales, temperature, doubt, and pictures of no known class."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from trifocal.concepts.calibration import (
    chances,
    doubt,
    familiarity,
    fewest_known,
    known_shares,
    likeliest_scale,
    temperature,
)


def asked(sure: float, count: int = 4000, classes: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    """Return logits `sure` times as large as they ought to be, and answers drawn by right chances."""
    generator = torch.Generator().manual_seed(0)
    honest = torch.randn(count, classes, generator=generator, dtype=torch.float64)
    labels = torch.multinomial(honest.softmax(1), 1, generator=generator)[:, 0]
    return sure * honest, labels


@pytest.mark.parametrize("sure", [0.2, 1.0, 5.0])
def test_the_temperature_undoes_how_sure_logits_are(sure: float) -> None:
    assert temperature(*asked(sure)) == pytest.approx(sure, rel=0.1)


def test_a_scale_beside_offsets() -> None:
    logits, labels = asked(3.0)
    found = likeliest_scale(logits / 6, logits, labels)
    assert found == pytest.approx(1 / 6, rel=0.15)
    tried = [
        F.cross_entropy(logits / 6 + a * logits, labels) for a in (found / 2, found, 2 * found)
    ]
    assert min(tried) == tried[1]


def test_few_labels_that_are_all_right_do_not_make_sure_of_everything() -> None:
    labels = torch.arange(5)
    assert 0.2 < temperature(3 * torch.eye(5), labels) < 1


@given(st.integers(0, 5), st.floats(0.1, 10), st.floats(0, 0.5))
def test_chances_are_chances(seed: int, hot: float, left: float) -> None:
    logits = 50 * torch.randn(7, 4, generator=torch.Generator().manual_seed(seed)).double()
    found = chances(logits, hot, left)
    torch.testing.assert_close(found.sum(1), torch.ones(7).double())
    assert float(found.max()) <= 1 - left + left / 4 + 1e-12
    assert torch.equal(found.argmax(1), logits.argmax(1))


def test_no_answer_is_surer_than_what_was_checked() -> None:
    assert doubt(98) == pytest.approx(0.01)
    assert float(chances(torch.tensor([[1e4, 0.0]]), 1.0, doubt(98)).max()) < 1


def test_pictures_of_known_classes_are_rarely_called_unknown() -> None:
    """At each rate about as rarely as it says, over draws of the known ones."""
    generator = torch.Generator().manual_seed(0)
    rates = torch.tensor([0.05, 0.2])
    refused = torch.zeros(2)
    for _ in range(200):
        known = torch.randn(99, generator=generator)
        new = torch.randn(200, generator=generator)
        refused += (known_shares(new, known)[:, None] <= rates).float().mean(0) / 200
    torch.testing.assert_close(refused, rates, rtol=0, atol=0.01)


def test_the_strangest_of_all_has_the_least_share_there_can_be() -> None:
    known = torch.tensor([1.0, 2.0, 3.0])
    found = known_shares(torch.tensor([0.0, 2.5, 9.0]), known)
    torch.testing.assert_close(found, torch.tensor([0.25, 0.75, 1.0]).double())
    assert fewest_known(0.25) == 3
    assert fewest_known(0.05) == 19


def test_familiarity_is_the_highest_logit() -> None:
    assert familiarity(torch.tensor([[1.0, 5.0], [2.0, -1.0]])).tolist() == [5.0, 2.0]
