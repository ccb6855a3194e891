"""GDA: its numbers, how its weight is chosen, and new classes against the formula as written."""

from __future__ import annotations

import math

import torch

from tests.concepts.baselines.toy import LABELS, QUERY, SUPPORT, TEXT, near, rows
from trifocal.concepts.baselines import GDA
from trifocal.concepts.baselines.gda import COPIES, SCALES
from trifocal.concepts.support import unit


def test_the_toy_set() -> None:
    # At a = 1; two shots of a class are too few to hold one out.
    head = GDA(weight=1).fit(SUPPORT, LABELS, TEXT)
    near(head.weights_[:, 0], 9.947368421, 2.842105263, 5.210526316)
    near(head.biases_, *[-6.356507026] * 3)
    near(QUERY @ head.weights_.T + head.biases_, 1.999282448, 3.609808764, 4.841387711)
    near(head.logits(QUERY), 59.599282448, 90.009808764, 90.441387711)


def test_two_classes_without_texts() -> None:
    head = GDA(weight=1)
    head.fit(SUPPORT, [0, 0, 0, 1, 1, 1])
    near(head.biases_, -2.420449271, -3.664282957)
    near(QUERY @ head.weights_.T + head.biases_, 0.965914365, 3.040262498)


def test_a_single_picture_of_each_class_is_a_nearest_mean() -> None:
    head = GDA().fit(SUPPORT[::2], [0, 1, 2])
    assert head.predict(SUPPORT[1::2]).tolist() == [0, 1, 2]


def test_views_are_rows_of_the_estimate() -> None:
    views = torch.stack([SUPPORT, SUPPORT.roll(1, 1)], 1)
    whole = GDA(weight=1).fit(views, LABELS)
    head = GDA(weight=1)
    head.classes_ = 3
    head._estimate(unit(views).flatten(0, 1)[:, None], LABELS.repeat_interleave(2))
    torch.testing.assert_close(whole.weights_, head.weights_)


def test_the_weight_is_chosen_on_validation_or_on_held_out_images() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(40) % 4
    centers = torch.randn(4, 16, generator=generator)
    support, val = (centers[labels] + torch.randn(40, 16, generator=generator) for _ in range(2))
    text = torch.randn(4, 16, generator=generator)  # knows nothing: the Gaussians must count
    for given in (None, (val, labels)):
        head = GDA(weight=0.5).fit(support, labels, text, val=given)
        assert head.weight_ in SCALES
        assert (head.predict(val) == labels).float().mean() > 0.8


def test_new_classes_against_the_formula_with_inverses() -> None:
    generator = torch.Generator().manual_seed(0)
    support, labels = torch.randn(80, 5, generator=generator).double(), torch.arange(80) % 4
    old, new, query = (torch.randn(n, 5, generator=generator).double() for n in (4, 3, 6))
    head = GDA(weight=0.3).fit(support, labels, old, val=(support, labels))
    rows_, text = unit(support), unit(new)
    means, precisions = [], []
    for one in text:
        near_rows = rows_[(rows_ @ one).topk(64).indices]
        means.append(torch.cat([near_rows, one.expand(COPIES, -1)]).mean(0))
        about = near_rows - one
        covariance = about.T @ about / 63
        shrunk = 63 * covariance + covariance.trace() * torch.eye(5)
        precisions.append(5 * torch.linalg.inv(shrunk))
    mu, precision = torch.stack(means), torch.stack(precisions).mean(0)
    gaussian = unit(query) @ precision @ mu.T
    gaussian = gaussian - (mu @ precision * mu).sum(1) / 2 - math.log(3)
    expected = 100 * unit(query) @ text.T + head.weight_ * gaussian
    torch.testing.assert_close(head.new_logits(query, new), expected)


def test_new_classes_with_fewer_base_images_than_neighbors() -> None:
    head = GDA().fit(SUPPORT, LABELS, TEXT)
    found = head.new_logits(QUERY, rows((0, 0, 1), (1, 0, 0)))
    assert found.shape == (1, 2)
    assert found.isfinite().all()
