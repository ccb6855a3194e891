"""Fits without a fold are fits to the rest, and the last one begins near its end."""

from __future__ import annotations

import pytest
import torch

from trifocal.concepts.crossed import TRIALS, crossed, learned_again
from trifocal.concepts.folds import fold_numbers
from trifocal.concepts.placed import Placed, Places, concept_frame
from trifocal.concepts.regression import map_weights
from trifocal.concepts.space import POWER
from trifocal.concepts.support import Support, unit


def placed(views: int = 1) -> Placed:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(5).repeat_interleave(6)
    centers = torch.randn(5, 1, 16, generator=generator, dtype=torch.float64)
    noise = torch.randn(30, views, 16, generator=generator, dtype=torch.float64)
    words = unit(torch.randn(40, 16, generator=generator, dtype=torch.float64))
    data = Support(centers[labels] + noise, labels, None, words, None, 5)
    return Places(concept_frame(data.features, words), data, 1.0).at(POWER, 0.0)


@pytest.mark.parametrize("views", [1, 3])
def test_what_is_asked_of_a_fold_is_asked_of_a_plain_fit_without_it(views: int) -> None:
    where, texts = placed(views), torch.randn(30, 5, dtype=torch.float64)
    folds = fold_numbers(where.labels, 0)
    asked = crossed(where, texts, folds, 0.1, 1.0).asked
    assert asked.gaussian is not None
    for fold in range(4):
        kept, held = folds != fold, folds == fold
        labels, shown = where.labels[kept], where.views.view(30, views, 16)[kept]
        means = torch.stack([where.bare[kept][labels == label].mean(0) for label in range(5)])
        away = (shown - means[labels][:, None]).flatten(0, 1)
        scatter = away.T @ away / views
        spread = scatter.trace() / len(labels)
        precision = torch.linalg.inv(scatter / spread + torch.eye(16).double())
        apart = where.bare[held][:, None] - means
        distances = torch.einsum("ndk,kl,ndl->nd", apart, precision, apart)
        points = where.bare[kept] @ torch.linalg.cholesky(precision)
        size = points.square().sum(1).mean()  # points are of length one on average
        gaussian = distances / -2 / size
        found = asked.gaussian[held]
        torch.testing.assert_close(
            found - found.mean(1, keepdim=True), gaussian - gaussian.mean(1, keepdim=True)
        )
        # Another root of the precision turns coordinates, which no prior minds.
        root = torch.linalg.cholesky(precision) / size.sqrt()
        given = (where.bare[kept] @ root, texts[kept], labels, 0.1)
        learned = map_weights(*given, iterations=TRIALS)
        torch.testing.assert_close(
            asked.learned[held], where.bare[held] @ root @ learned, rtol=1e-5, atol=1e-5
        )


def test_the_fit_to_all_is_the_mode() -> None:
    where, texts = placed(), torch.zeros(30, 5, dtype=torch.float64)
    before = crossed(where, texts, fold_numbers(where.labels, 0), 0.1, 1.0)
    found = learned_again(where, before, texts, 0.1)
    exact = map_weights(where.points, texts, where.labels, 0.1, iterations=300)
    chances = [(where.points @ weights).softmax(1) for weights in (found, exact)]
    torch.testing.assert_close(*chances, rtol=0, atol=2e-3)
