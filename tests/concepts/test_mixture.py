"""What texts, learned weights and Gaussians count."""

from __future__ import annotations

import torch

from trifocal.concepts.mixture import Asked, Scales, joined, likely_share, text_weight


def logits_of(labels: torch.Tensor, right: float, noise: float, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    told = torch.nn.functional.one_hot(labels, 4).double()
    return right * told + noise * torch.randn(len(labels), 4, generator=generator).double()


def asked(count: int, learned: float, gaussian: float) -> Asked:
    labels = torch.arange(count) % 4
    zeros = torch.zeros(count, 4).double()
    return Asked(
        zeros, logits_of(labels, learned, 1.0, 0), logits_of(labels, gaussian, 1.0, 1), labels
    )


def test_what_answers_better_counts_more_and_the_more_the_more_pictures() -> None:
    both = Scales(1.0, 1.0)
    shares = [likely_share(asked(count, 0.0, 3.0), both, 0.4) for count in (4, 40, 400)]
    assert 0.4 < shares[0] < shares[1] <= shares[2] <= 1
    assert shares[2] > 0.9
    assert likely_share(asked(400, 3.0, 0.0), both, 0.4) < 0.1


def test_scales_make_answers_likeliest() -> None:
    one = asked(400, 2.0, 2.0)
    louder = Asked(one.texts, one.learned / 8, 4 * one.gaussian, one.labels)
    found, again = one.scales(Scales(1.0, 1.0)), louder.scales(Scales(1.0, 1.0))
    assert abs(again.learned / found.learned / 8 - 1) < 0.2
    assert abs(again.gaussian / found.gaussian * 4 - 1) < 0.2


def test_texts_count_as_far_as_they_tell_the_support() -> None:
    labels = torch.arange(80) % 4
    assert text_weight(logits_of(labels, 8.0, 0.5, 0), labels) == 1
    assert text_weight(logits_of(labels, 0.0, 8.0, 0), labels) < 0.1


def test_joined_weights_are_the_mixture() -> None:
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(6, 5, generator=generator)
    learned, means = torch.randn(5, 4, generator=generator), torch.randn(5, 4, generator=generator)
    biases, scales = torch.randn(4, generator=generator), Scales(2.0, 0.5)
    given = Asked(torch.zeros(6, 4), points @ learned, points @ means + biases, torch.zeros(6))
    for share in (0.0, 0.3, 1.0):
        weights, added = joined(learned, (means, biases), scales, share)
        torch.testing.assert_close(points @ weights + added, given.mixed(scales, share))
