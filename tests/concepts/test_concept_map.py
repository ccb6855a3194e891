"""The concept map: the mode of the posterior, found; and the penalty, chosen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.optimize import minimize
from torch import Tensor
from torch.nn import functional as F

from trifocal.concepts import concept_map
from trifocal.concepts.concept_map import (
    ATOMS,
    ITERATIONS,
    PENALTIES,
    TRIALS,
    ConceptMap,
    choose_penalty,
    map_weights,
)
from trifocal.concepts.explanation import Term
from trifocal.concepts.space import concept_space
from trifocal.concepts.support import Labeled, Support, unit

Problem = tuple[Tensor, Tensor, Tensor]


def problem(count: int = 12, width: int = 5, classes: int = 3, seed: int = 0) -> Problem:
    """Return points, offsets and labels."""
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn(count, width, generator=generator, dtype=torch.float64)
    offsets = 2 * torch.randn(count, classes, generator=generator, dtype=torch.float64)
    return points, offsets, torch.randint(classes, (count,), generator=generator)


def objective(weights: Tensor, fitted: Problem, penalty: float) -> Tensor:
    points, offsets, labels = fitted
    loss = F.cross_entropy(offsets + points @ weights, labels, reduction="sum")
    return loss + penalty / 2 * weights.pow(2).sum()


# --- the mode -----------------------------------------------------------------------------


@given(st.integers(1, 12), st.integers(2, 4), st.sampled_from([0.01, 0.1, 1.0]), st.integers(0, 99))
@example(11, 3, 0.01, 11)  # stops early
def test_the_gradient_of_the_objective_is_zero(
    count: int, classes: int, penalty: float, seed: int
) -> None:
    fitted = problem(count, classes=classes, seed=seed)
    weights = map_weights(*fitted, penalty, iterations=300)
    assert weights.shape == (5, classes)
    assert not weights.requires_grad
    (gradient,) = torch.autograd.grad(
        objective(weights.requires_grad_(True), fitted, penalty), weights
    )
    # It stops at gradients of 1e-5, or where a step gains less than 1e-7.
    assert float(gradient.abs().max()) < 2e-3
    # What there is left to gain, by Newton's step to the minimum.
    flat = weights.detach().flatten()
    curvature = torch.autograd.functional.hessian(
        lambda one: objective(one.view_as(weights), fitted, penalty), flat
    )
    assert isinstance(curvature, Tensor)
    step = torch.linalg.solve(curvature, gradient.flatten())
    assert float(gradient.flatten() @ step / 2) < 1e-5


@pytest.mark.parametrize("penalty", [0.01, 1.0])
def test_the_mode_is_scipys(penalty: float) -> None:
    points, offsets, labels = problem()

    def plain(flat: numpy.ndarray) -> float:
        logits = offsets.numpy() + points.numpy() @ flat.reshape(5, 3)
        shifted = logits - logits.max(1, keepdims=True)
        chances = shifted - numpy.log(numpy.exp(shifted).sum(1, keepdims=True))
        own = chances[numpy.arange(len(labels)), labels.numpy()]
        return float(-own.sum() + penalty / 2 * (flat**2).sum())

    best = minimize(plain, numpy.zeros(15), method="BFGS", options={"gtol": 1e-6})
    weights = map_weights(points, offsets, labels, penalty, iterations=300)
    assert plain(weights.numpy().ravel()) == pytest.approx(best.fun, rel=1e-6)
    expected = torch.from_numpy(best.x).reshape(5, 3)
    torch.testing.assert_close(weights, expected, rtol=1e-2, atol=1e-2)


def test_the_gradient_in_it_is_that_of_finite_differences() -> None:
    """One step of steepest descent from 0 goes along the negative gradient there."""
    fitted = problem()
    step = map_weights(*fitted, 0.1, iterations=1).flatten()
    gradient = torch.zeros(15, dtype=torch.float64)
    for place in range(15):
        moved = torch.zeros(15, dtype=torch.float64)
        moved[place] = 1e-6
        up = objective(moved.reshape(5, 3), fitted, 0.1)
        down = objective(-moved.reshape(5, 3), fitted, 0.1)
        gradient[place] = (up - down) / 2e-6
    assert float(F.cosine_similarity(step, -gradient, dim=0)) == pytest.approx(1, abs=1e-9)


def test_the_start_does_not_matter() -> None:
    fitted = problem()
    generator = torch.Generator().manual_seed(7)
    expected = map_weights(*fitted, 0.1, iterations=300)
    for scale in (0.1, 3.0):
        start = scale * torch.randn(5, 3, generator=generator, dtype=torch.float64)
        kept = start.clone()
        found = map_weights(*fitted, 0.1, start=start, iterations=300)
        torch.testing.assert_close(found, expected, rtol=1e-2, atol=2e-3)
        assert torch.equal(start, kept)


@pytest.mark.parametrize("penalty", PENALTIES)
def test_the_default_number_of_steps_is_near_the_mode(penalty: float) -> None:
    """In what matters: chances differ by a hundredth at most, so predictions hardly do."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(20).repeat_interleave(8)
    centers = unit(torch.randn(20, 64, generator=generator, dtype=torch.float64))
    noise = torch.randn(160, 64, generator=generator, dtype=torch.float64) / 8
    points = unit(centers[labels] + noise)
    texts = unit(centers + torch.randn(20, 64, generator=generator, dtype=torch.float64) / 8)
    fitted = (points, 20 * points @ texts.T, labels)
    query = unit(centers + torch.randn(20, 64, generator=generator, dtype=torch.float64) / 8)
    chances, exact = (
        (20 * query @ texts.T + query @ map_weights(*fitted, penalty, iterations=count)).softmax(1)
        for count in (ITERATIONS, 300)
    )
    assert float((chances - exact).abs().max()) < 0.01
    assert torch.equal(chances.argmax(1), exact.argmax(1))


def test_columns_sum_to_zero() -> None:
    """Adding a number to all logits changes no probability, and the prior wants none."""
    weights = map_weights(*problem(), 0.01)
    torch.testing.assert_close(weights.sum(1), torch.zeros(5).double(), rtol=0, atol=1e-6)


def test_pictures_that_the_texts_already_tell_move_little() -> None:
    points, _, labels = problem()
    surprised = -30 * F.one_hot(labels, 3).double()
    known = map_weights(points, -surprised, labels, 0.1)
    assert float(known.abs().max()) < 1e-6
    assert float(map_weights(points, surprised, labels, 0.1).abs().max()) > 1


# --- the penalty --------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_the_best_penalty_of_all(seed: int) -> None:
    """Each after a few steps from where the stronger one before ended."""
    fitted, judged = problem(seed=seed), problem(40, seed=100 + seed)
    tried = (1e-2, 1e-1, 1.0, 10.0)
    qualities, weights = {}, None
    for penalty in reversed(tried):
        weights = map_weights(*fitted, penalty, start=weights, iterations=TRIALS)
        logits = judged[1] + judged[0] @ weights
        right = int((logits.argmax(1) == judged[2]).sum())
        qualities[penalty] = (right, -float(F.cross_entropy(logits, judged[2])))
    expected = max(tried, key=lambda penalty: qualities[penalty])
    assert choose_penalty(fitted, judged, tried) == expected
    assert choose_penalty(fitted, judged, tuple(reversed(tried))) == expected


@pytest.mark.parametrize("seed", range(5))
def test_a_few_steps_a_penalty_choose_almost_as_well_as_many(seed: int) -> None:
    """As many are right of held-out pictures as with the best penalty, but for one of forty."""
    fitted, judged = problem(seed=seed), problem(40, seed=100 + seed)
    tried = (1e-3, 1e-2, 1e-1, 1.0, 10.0)

    def right(penalty: float) -> int:
        logits = judged[1] + judged[0] @ map_weights(*fitted, penalty, iterations=300)
        return int((logits.argmax(1) == judged[2]).sum())

    assert right(choose_penalty(fitted, judged, tried)) >= max(map(right, tried)) - 1


def test_among_equally_good_penalties_the_likeliest() -> None:
    """Two well-separated classes: all are right, and what fits most is surest of it."""
    points = torch.tensor([[1.0], [-1.0]]).double()
    one = (points, torch.zeros(2, 2).double(), torch.tensor([0, 1]))
    assert choose_penalty(one, one, PENALTIES) == min(PENALTIES)


# --- as a head ----------------------------------------------------------------------------


def support(views: int = 1, width: int = 8, concepts: int = 20) -> Support:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(3).repeat_interleave(4)
    text = torch.randn(3, width, generator=generator, dtype=torch.float64)
    noise = torch.randn(12, views, width, generator=generator, dtype=torch.float64)
    words = unit(torch.randn(concepts, width, generator=generator, dtype=torch.float64))
    return Support(text[labels][:, None] + noise, labels, text, words, None, 3)


def fit(data: Support, judged: Labeled | None = None, **params: Any) -> ConceptMap:
    """Return a head whose concepts are the text concepts, and which selects if it is judged."""
    head = ConceptMap(**{"visual": "text", "select": judged is not None, **params})
    return head.fit(data.views, data.labels, data.text, data.concepts, judged)


def test_a_strong_prior_is_zero_shot() -> None:
    data = support()
    head = fit(data, penalty=1e12)
    x = data.features
    torch.testing.assert_close(head.logits(x), 100 * x @ data.class_text.T)
    assert head.chosen_ == {"penalty": 1e12}


def test_a_weak_prior_fits_the_support() -> None:
    data = support()
    head = fit(replace(data, text=data.class_text.roll(1, 0)), penalty=1e-4)
    assert torch.equal(head.predict(data.features), data.labels)
    assert head.trainable_parameters == 8 * 3


def test_logits_are_the_mode_in_the_concept_space() -> None:
    data = support(views=3)
    head = fit(data, scale=10.0, penalty=0.1)
    space = concept_space(data.features, unit(data.views), data.labels, data.concepts, 1.0)
    points = space(data.features)
    weights = torch.linalg.solve(space.whitening, head.weights_)
    logits = 10 * data.features @ data.class_text.T + points @ weights
    torch.testing.assert_close(head.logits(data.features), logits)
    errors = logits.softmax(1) - F.one_hot(data.labels, 3)
    gradient = points.T @ errors + 0.1 * weights
    torch.testing.assert_close(gradient, torch.zeros_like(gradient), rtol=0, atol=1e-3)


def test_selected_on_what_is_judged() -> None:
    data = support()
    head = fit(data, (3 * data.features, data.labels), scale=1.0, penalty=0.5)
    assert head.chosen_["penalty"] in PENALTIES
    again = fit(data, scale=1.0, **head.chosen_)
    torch.testing.assert_close(again.logits(data.features), head.logits(data.features))


def test_trying_out_is_choosing_by_what_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    data = support()
    held = (5 * data.features.flip(0), data.labels)
    judged = fit(data, held, scale=1.0, penalty=0.5)
    monkeypatch.setattr(concept_map, "held_out", lambda data, seed: (data, held))
    tried = fit(data, scale=1.0, penalty=0.5, select=True)
    assert tried.chosen_ == judged.chosen_


def test_new_classes_are_zero_shot() -> None:
    data = support()
    new = unit(torch.randn(2, 8, dtype=torch.float64))
    found = fit(data).new_logits(data.features, new)
    torch.testing.assert_close(found, 100 * data.features @ new.T)


# --- explanations -------------------------------------------------------------------------


def terms(head: ConceptMap, x: Tensor, label: int) -> tuple[Term, ...]:
    """Return all terms of a picture's logit."""
    (explained,) = head.explain(x, [label], top=1000)
    return explained.terms


def explained(concepts: int, width: int = 8) -> tuple[ConceptMap, Tensor]:
    """Return a fitted head of so many concepts, and a picture."""
    data = support(width=width, concepts=concepts)
    return fit(data), data.features[:1]


@pytest.mark.parametrize("width", [8, 64])
@pytest.mark.parametrize("count", [20, 5, 1])
def test_terms_add_up_and_name_the_same_concepts_whatever_the_class(count: int, width: int) -> None:
    head, x = explained(count, width)
    named = []
    for label in range(3):
        parts = terms(head, x, label)
        logit = float(head.logits(x)[0, label])
        assert sum(term.value for term in parts) == pytest.approx(logit)
        concepts = [term for term in parts if term.kind == "concept"]
        assert sorted(term.kind for term in parts) == [*["concept"] * len(concepts), "rest", "text"]
        assert len(concepts) <= min(ATOMS, count)
        named.append({(term.index, term.score, term.images) for term in concepts})
    assert named[0] == named[1] == named[2]
    # Centered, a single concept is nothing.
    assert bool(named[0]) == (count > 1)
    assert all(score > 0 for _, score, _ in named[0])


def test_there_are_a_few_concepts_at_most() -> None:
    data = support(width=64, concepts=500)
    head = fit(data)
    concepts = [term for term in terms(head, data.features[:1], 0) if term.kind == "concept"]
    assert len(concepts) == ATOMS
    for term in concepts:  # each with the images and the grounding of its own number
        assert term.index is not None
        assert term.images == tuple(head.images_[term.index].tolist())
        assert term.grounding == float(head.grounding_[term.index])


def test_concept_terms_are_shares_of_the_point_times_the_weights() -> None:
    """The point of a picture, in the space, is what its concepts say and a remainder."""
    head, x = explained(20)
    atoms = unit((head.concepts_ - head.concepts_.mean(0)) @ head.metric_)
    point = unit((x[0] - head.center_) @ head.metric_)
    rest = point.clone()
    *concepts, left = (term for term in terms(head, x, 1) if term.kind != "text")
    for term in concepts:
        assert term.index is not None
        assert term.score is not None
        rest -= term.score * atoms[term.index]
        value = float(term.score * atoms[term.index] @ head.weights_[:, 1])
        assert term.value == pytest.approx(value)
    assert left.kind == "rest"
    assert left.value == pytest.approx(float(rest @ head.weights_[:, 1]))
    assert float(rest.norm()) < 0.2  # 20 concepts in 8 dimensions leave little


def test_without_concepts_all_is_rest() -> None:
    data = support()
    head = fit(data, visual="raw")
    x = data.features[:1]
    text, rest = terms(head, x, 1)
    assert (text.kind, rest.kind) == ("text", "rest")
    assert text.value + rest.value == pytest.approx(float(head.logits(x)[0, 1]))
