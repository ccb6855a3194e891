"""APE: criterion, weights and channels; APE-T: what it trains."""

from __future__ import annotations

import torch

from tests.concepts.baselines.toy import EXACT, LABELS, QUERY, SUPPORT, TEXT, TEXT_2, near
from trifocal.concepts.baselines import APE, APET, TipAdapter
from trifocal.concepts.baselines.ape import criterion, divergence, similarity


def test_criterion() -> None:
    similar = similarity(TEXT_2, torch.arange(3), 3)
    near(similar, 0.072, 0.554666667, 0)
    near(TEXT_2.var(0), 0.0912, 0.0688, 0.213333333)
    found = criterion(TEXT_2, similar, (0.7, 0.3))
    near(found, -0.02304, -0.367626667, 0.064)
    assert found.argsort(descending=True).tolist() == [2, 0, 1]


def test_similarity_of_texts_and_shots_is_the_mean_over_pairs_of_classes() -> None:
    features, labels = torch.cat([TEXT_2, SUPPORT[:5]]), torch.tensor([0, 1, 2, 0, 0, 1, 1, 2])
    pairs = [
        features[i] * features[j] for i in range(8) for j in range(8) if labels[i] != labels[j]
    ]
    torch.testing.assert_close(similarity(features, labels, 3), torch.stack(pairs).mean(0))


def test_divergence_and_weights() -> None:
    bits = divergence(SUPPORT, LABELS, TEXT_2)
    near(bits, 1.223692144, 1.250236694, 1.270976118, 1.545093885, 0.924978709, 1.024190341)
    near((0.1 * bits[0]).exp(), 1.130171300)
    # With all channels, that is what the head weighs its images by.
    near(APE(channels=3, gamma=0.1).fit(SUPPORT, LABELS, TEXT_2).weights_[0], 1.130171300)


def test_with_all_channels_and_even_weights_it_is_tip_adapter() -> None:
    ape = APE(channels=3, gamma=0, alpha=1.17, beta=5.5).fit(SUPPORT, LABELS, TEXT)
    tip = TipAdapter().fit(SUPPORT, LABELS, TEXT)
    torch.testing.assert_close(ape.logits(QUERY), tip.logits(QUERY), **EXACT)


def test_two_channels_made_unit_again() -> None:
    head = APE(channels=2, gamma=0, alpha=2, beta=1).fit(SUPPORT, LABELS, TEXT_2)
    kept = head.channels_
    assert len(kept) == 2
    keys = torch.nn.functional.normalize(SUPPORT[:, kept], dim=1)
    x = torch.nn.functional.normalize(QUERY[:, kept], dim=1)
    values = (-(1 - x @ keys.T)).exp() @ torch.nn.functional.one_hot(LABELS).double()
    torch.testing.assert_close(head.logits(QUERY), 100 * QUERY @ TEXT_2.T + 2 * values)


def test_ape_t_trains_residuals_of_its_channels_and_weights_of_images() -> None:
    head = APET(channels=2).fit(SUPPORT, LABELS, TEXT)
    assert head.trainable_parameters == 2 * 3 + 6
    moved = (head.text_ - TEXT).abs().sum(0) > 0
    assert sorted(moved.nonzero().flatten().tolist()) == sorted(head.channels_.tolist())
    # A class's keys move with its text.
    torch.testing.assert_close(head.keys_ - SUPPORT, (head.text_ - TEXT)[LABELS])


def test_ape_t_starts_from_the_cache_on_all_channels() -> None:
    ape = APET(channels=2, epochs=0, alpha=1.17, beta=5.5).fit(SUPPORT, LABELS, TEXT)
    tip = TipAdapter().fit(SUPPORT, LABELS, TEXT)
    torch.testing.assert_close(ape.logits(QUERY), tip.logits(QUERY))


def test_gamma_is_searched() -> None:
    generator = torch.Generator().manual_seed(0)
    support, val = torch.randn(2, 20, 8, generator=generator).unbind()
    text, labels = torch.randn(4, 8, generator=generator), torch.arange(20) % 4
    head = APE().fit(support, labels, text, val=(val, labels))
    gammas = head.weights_.log() / divergence(
        head.keys_, labels, torch.nn.functional.normalize(text[:, head.channels_], dim=1)
    )
    assert min(abs(float(gammas.mean()) - i / 10) for i in range(5)) < 1e-5
