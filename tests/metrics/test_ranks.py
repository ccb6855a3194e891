"""Ranks by counting against brute force over all orders of tied candidates."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch.nn.functional import normalize
from torch.utils._python_dispatch import TorchDispatchMode

from trifocal.errors import UserError
from trifocal.metrics.ranks import Ranks, retrieval_ranks


def brute_force_hit(scores: list[float], right: set[int], k: int) -> float:
    """The share of all orders of equal scores in which a right candidate is in the first k."""
    found = []
    for order in permutations(range(len(scores))):
        values = [scores[i] for i in order]
        if values == sorted(values, reverse=True):
            found.append(bool(right & set(order[:k])))
    return float(np.mean(found))


@st.composite
def problems(draw: st.DrawFn) -> tuple[torch.Tensor, torch.Tensor, list[int], int]:
    """Small integer embeddings (exact products, many ties) and any ownership."""
    images = draw(st.integers(1, 4))
    texts = draw(st.integers(1, 5))
    width = draw(st.integers(1, 2))
    values = st.integers(-1, 1)
    cell = st.lists(values, min_size=width, max_size=width)
    left = draw(st.lists(cell, min_size=images, max_size=images))
    right = draw(st.lists(cell, min_size=texts, max_size=texts))
    owner = draw(st.lists(st.integers(0, images - 1), min_size=texts, max_size=texts))
    tile = draw(st.integers(1, 6))
    return torch.tensor(left).float(), torch.tensor(right).float(), owner, tile


@settings(max_examples=250, deadline=None)
@given(problems())
def test_both_directions_equal_brute_force_with_ties(problem):
    images, texts, owner, tile = problem
    by_text, by_image = retrieval_ranks(images, texts, owner, tile=tile)
    scores = (texts @ images.T).tolist()
    asked = [i for i in range(len(images)) if i in owner]
    assert len(by_text) == len(texts)
    assert len(by_image) == len(asked)
    for k in (1, 2, 5):
        expected = [brute_force_hit(scores[t], {owner[t]}, k) for t in range(len(texts))]
        np.testing.assert_allclose(by_text.hits(k), expected, atol=1e-12)
        columns = list(zip(*scores, strict=True))
        expected = [
            brute_force_hit(list(columns[i]), {t for t, who in enumerate(owner) if who == i}, k)
            for i in asked
        ]
        np.testing.assert_allclose(by_image.hits(k), expected, atol=1e-12)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**31), st.integers(2, 40), st.integers(1, 4), st.integers(3, 50))
def test_without_ties_it_is_sorting(seed, images, captions, tile):
    generator = torch.Generator().manual_seed(seed)
    left = normalize(torch.randn(images, 8, generator=generator), dim=1)
    right = normalize(torch.randn(images * captions, 8, generator=generator), dim=1)
    owner = torch.arange(images).repeat(captions)  # not side by side
    by_text, by_image = retrieval_ranks(left, right, owner, tile=tile)
    scores = right @ left.T
    own = scores.gather(1, owner[:, None])
    away = (scores - own).abs().scatter(1, owner[:, None], 1.0)
    assume(float(away.min()) > 1e-5)  # else it is a tie
    for k in (1, 5, 10):
        top = scores.topk(min(k, images), dim=1).indices
        assert by_text.recall(k) == pytest.approx(
            float((top == owner[:, None]).any(1).double().mean())
        )
        top = scores.T.topk(min(k, len(right)), dim=1).indices
        hit = (owner[top] == torch.arange(images)[:, None]).any(1)
        assert by_image.recall(k) == pytest.approx(float(hit.double().mean()))
    place = (scores > own).sum(1) + 1
    assert by_text.mean_rank() == pytest.approx(float(place.double().mean()))


def test_collapsed_model_is_at_chance():
    same = torch.ones(50, 4) / 2
    by_text, by_image = retrieval_ranks(same[:10], same, torch.arange(10).repeat_interleave(5))
    assert by_text.recall(1) == pytest.approx(0.1)
    assert by_image.recall(1) == pytest.approx(0.1)
    assert by_text.mean_rank() == pytest.approx(5.5)
    for ranks in (by_text, by_image):
        for k in (1, 5, 10):
            assert ranks.recall(k) == pytest.approx(ranks.chance(k))


def test_duplicate_caption_of_another_image_is_half_a_hit():
    images = torch.eye(2)
    texts = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    _, by_image = retrieval_ranks(images, texts, [0, 1])
    assert by_image.hits(1).tolist() == [0.5, 0.5]
    assert by_image.hits(2).tolist() == [1.0, 1.0]


def test_equal_candidates_tie_whatever_tile_they_fall_into():
    generator = torch.Generator().manual_seed(0)
    image = normalize(torch.randn(1, 512, generator=generator), dim=1)
    images = image.repeat(333, 1)
    texts = normalize(torch.randn(7, 512, generator=generator), dim=1)
    by_text, _ = retrieval_ranks(images, texts, [3] * 7, tile=50)
    assert by_text.above.tolist() == [0] * 7
    assert by_text.tied.tolist() == [332] * 7


def test_chance_counts_several_right_answers():
    zeros = torch.zeros(1, dtype=torch.long)
    ranks = Ranks(zeros, zeros, zeros + 1, candidates=10, right=zeros + 5)
    assert ranks.chance(1) == pytest.approx(0.5)
    assert ranks.chance(2) == pytest.approx(1 - 5 / 10 * 4 / 9)
    assert ranks.chance(10) == 1.0


def test_scores_exist_one_tile_at_a_time():
    class Largest(TorchDispatchMode):
        elements = 0

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            out = function(*args, **(kwargs or {}))
            if isinstance(out, torch.Tensor):
                self.elements = max(self.elements, out.numel())
            return out

    images, texts = torch.randn(600, 4), torch.randn(3000, 4)
    with Largest() as seen:
        retrieval_ranks(images, texts, torch.arange(3000) % 600, tile=100)
    assert seen.elements <= 3000 * 4  # the texts themselves; the matrix would be 1.8 million


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_an_embedding_that_is_not_finite_is_refused(bad):
    images = torch.eye(3)
    with pytest.raises(UserError, match="image tower holds NaN"):
        retrieval_ranks(images * bad, torch.eye(3), [0, 1, 2])
    with pytest.raises(UserError, match="text tower holds NaN"):
        retrieval_ranks(images, torch.eye(3) * bad, [0, 1, 2])


@pytest.mark.parametrize("owner", [[0, 1], [0, 1, 3], [-1, 0, 1]])
def test_an_owner_that_does_not_exist_is_refused(owner):
    with pytest.raises(ValueError, match="owner must name one of 3 images"):
        retrieval_ranks(torch.eye(3), torch.eye(3), owner)


def test_real_flickr8k_features(real_data):
    features = load_file(real_data / "features" / "flickr8k100.safetensors")
    images = normalize(features["image"][::5].float(), dim=1)
    texts = normalize(features["text"].float(), dim=1)
    by_text, by_image = retrieval_ranks(images, texts, torch.arange(500) // 5)
    assert 100 * by_text.recall(1) == pytest.approx(83.2, abs=0.05)
    assert 100 * by_image.recall(1) == pytest.approx(93.0, abs=0.05)
