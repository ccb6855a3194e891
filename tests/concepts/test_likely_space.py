"""Which space is chosen, and that choosing is what leaving out and fitting again would do."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from trifocal.concepts.likely_space import LENGTHS, POWERS, likeliest_space
from trifocal.concepts.placed import Places, concept_frame
from trifocal.concepts.rows import class_sums
from trifocal.concepts.support import Support, unit


def drawn(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def support(telling: int, seed: int, shots: int = 4, classes: int = 6) -> Support:
    """Return pictures whose classes differ in some of 24 directions, the first of which words name."""
    labels = torch.arange(classes).repeat_interleave(shots)
    centers = torch.zeros(classes, 24).double()
    centers[:, telling : telling + 6] = drawn(classes, 6, seed=seed)
    views = centers[labels] + drawn(len(labels), 24, seed=seed + 1)
    words = torch.zeros(40, 24).double()
    words[:, :6] = drawn(40, 6, seed=9)
    return Support(views[:, None], labels, None, unit(words), None, classes)


def chosen(data: Support) -> float:
    places = Places(concept_frame(data.features, data.concepts), data, 1.0)
    rows = torch.arange(len(data.labels))
    nothing = torch.zeros(len(rows), data.classes).double()
    return likeliest_space(places, nothing, rows).placed.space.power


def test_concepts_count_where_they_tell_classes_apart_and_do_not_where_they_do_not() -> None:
    named = [chosen(support(0, seed)) for seed in range(0, 10, 2)]
    unnamed = [chosen(support(12, seed)) for seed in range(0, 10, 2)]
    assert sum(named) > sum(unnamed) + 1
    assert max(unnamed) < max(POWERS)


def test_the_loss_is_that_of_fits_without_each_picture() -> None:
    data = support(0, 0, shots=3, classes=3)
    places = Places(concept_frame(data.features, data.concepts), data, 1.0)
    rows = torch.arange(9)
    found = likeliest_space(places, torch.zeros(9, 3).double(), rows, (0.25,), (0.5,))
    bare, labels = found.placed.bare, data.labels
    away = bare - (class_sums(bare, labels, 3) / 3)[labels]
    ridge = float(away.square().sum()) / 9 * torch.eye(24).double()  # of all pictures
    logits = []
    for row in range(9):
        rest = rows != row
        counts = torch.bincount(labels[rest])[:, None]
        means = class_sums(bare[rest], labels[rest], 3) / counts
        left = bare[rest] - means[labels[rest]]
        apart = bare[row] - means
        precision = torch.linalg.inv(left.T @ left + ridge)
        logits.append(-((apart @ precision) * apart).sum(1) / 2)
    # In units of the scatter, which the scale takes up.
    unit_of = found.placed.space.scatter
    expected = F.cross_entropy(found.scale * unit_of * torch.stack(logits), labels, reduction="sum")
    assert found.loss == pytest.approx(float(expected))


def test_one_space_is_taken_as_it_is() -> None:
    data = support(0, 0)
    places = Places(concept_frame(data.features, None), data, 1.0)
    rows = torch.arange(len(data.labels))
    texts = torch.zeros(len(rows), data.classes).double()
    found = likeliest_space(places, texts, rows, (0.0,), LENGTHS[:1]).placed
    torch.testing.assert_close(found.points, places.at(0.0, 0.0).points)
