"""Visual concepts: the worked toy set first, then what holds for any support."""

from __future__ import annotations

import logging

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.concepts.baselines.toy import EXACT, LABELS, SUPPORT, near, rows
from trifocal.concepts.ccli import CCLI
from trifocal.concepts.concept_map import ConceptMap
from trifocal.concepts.discovery import (
    VisualConcepts,
    associate,
    best_columns,
    class_shares,
    complaint,
    describe,
    discover_visual_concepts,
    reconstruct,
)
from trifocal.concepts.support import unit

CONCEPTS = rows((1, 0, 0), (0, 0.6, 0.8), (0.6, 0.64, 0.48))
THIRD = 0.577350269


def found(top: int, debias: bool = False, smoothing: float = 0.01) -> VisualConcepts:
    return discover_visual_concepts(CONCEPTS, SUPPORT, LABELS, 3, top, debias, smoothing)


def sets(concepts: VisualConcepts) -> list[set[int]]:
    return [set(row) for row in concepts.images.tolist()]


def random_support(
    counts: tuple[int, ...], width: int, concepts: int, seed: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """Return unit text concepts, unit support features and labels."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    support = torch.randn(len(labels), width, generator=generator, dtype=torch.float64)
    text = torch.randn(concepts, width, generator=generator, dtype=torch.float64)
    return unit(text), unit(support), labels


# --- the worked numbers -------------------------------------------------------------------


def test_two_images_a_concept() -> None:
    concepts = found(2)
    assert sets(concepts) == [{0, 1}, {3, 4}, {1, 3}]
    near(
        concepts.features,
        *(0.948683298, 0.316227766, 0),
        *(0, 0.447213595, 0.894427191),
        *(0.464990555, 0.813733471, 0.348742916),
    )
    shares = class_shares(LABELS[concepts.images], 3, torch.float64)
    near(shares, 1, 0, 0, 0, 0.5, 0.5, 0.5, 0.5, 0)
    near(concepts.similarities, 1, 0.8, 0.96, 0.8, 0.864, 0.8)
    near(
        concepts.association,
        *(1.328874025, 0.006666667, 0.013201320),
        *(0.004459309, 0.996666667, 1.973597360),
        *(0.666666667, 0.996666667, 0.013201320),
    )


def test_one_image_a_concept_is_that_image_bit_for_bit() -> None:
    concepts = found(1)
    assert concepts.images.flatten().tolist() == [0, 3, 1]
    assert torch.equal(concepts.features, SUPPORT[[0, 3, 1]])
    text, support, labels = random_support((30, 30), 16, 50)
    support = support.float()
    single = discover_visual_concepts(text.float(), support, labels, 2, 1)
    assert torch.equal(single.features, support[single.images[:, 0]])


@pytest.mark.parametrize("top", [6, 7, 1000])
def test_more_images_than_there_are_takes_all(top: int) -> None:
    concepts = found(top)
    assert sets(concepts) == [set(range(6))] * 3
    near(concepts.features[2], THIRD, THIRD, THIRD)


def test_three_images_a_concept() -> None:
    concepts = found(3)
    assert sets(concepts) == [{0, 1, 5}, {3, 4, 5}, {1, 3, 5}]
    near(concepts.features[2], THIRD, THIRD, THIRD)


def test_debiased_images() -> None:
    near(
        (CONCEPTS @ SUPPORT.T).mean(0),
        *(0.533333333, 0.674666667, 0.413333333, 0.586666667, 0.426666667, 0.661333333),
    )
    concepts = found(2, debias=True)
    assert sets(concepts) == [{0, 1}, {3, 4}, {2, 3}]
    near(concepts.features[2], 0, 0.948683298, 0.316227766)
    shares = class_shares(LABELS[concepts.images], 3, torch.float64)
    near(shares[2], 0, 1, 0)
    near(
        concepts.association,
        *(1.986666667, 0.004459309, 0.013201320),
        *(0.006666667, 0.666666667, 1.973597360),
        *(0.006666667, 1.328874025, 0.013201320),
    )


def test_a_class_without_a_concept_gets_the_mean_score() -> None:
    shares = rows((1, 0), (1, 0))
    logits = rows((0.2, 0.6)) @ associate(shares, 4, 0.01, column_mass=True)
    near(logits, 0.8, 0.8)
    # Without smoothing it has nothing, and nothing is divided by 0.
    near(rows((0.2, 0.6)) @ associate(shares, 4, 0.0, column_mass=True), 0.8, 0)


# --- retrieval ----------------------------------------------------------------------------


@given(
    st.lists(st.lists(st.integers(0, 3), min_size=6, max_size=6), min_size=1, max_size=8),
    st.integers(1, 6),
)
def test_ties_go_to_the_lower_index(values: list[list[int]], top: int) -> None:
    scores = torch.tensor(values, dtype=torch.float64)
    ranked = scores.argsort(dim=1, descending=True, stable=True)
    assert torch.equal(best_columns(scores, top), ranked[:, :top])


def test_more_concepts_than_a_chunk_holds() -> None:
    text, support, labels = random_support((3, 3, 3, 3), 16, 1100)
    for debias in (False, True):
        whole = discover_visual_concepts(text, support, labels, 4, 3, debias)
        offset = text.mean(0) @ support.T if debias else 0.0
        scores = text @ support.T - offset
        ranked = scores.argsort(dim=1, descending=True, stable=True)[:, :3]
        assert torch.equal(whole.images, ranked)
        torch.testing.assert_close(whole.features, unit(support[ranked].mean(1)))
        torch.testing.assert_close(whole.similarities, scores.gather(1, ranked))
        grounding = (whole.similarities.mean(1) - scores.mean(1)) / scores.std(1, correction=0)
        torch.testing.assert_close(whole.grounding, grounding)


# --- what holds for any support -----------------------------------------------------------


@given(
    st.lists(st.integers(1, 4), min_size=2, max_size=5),
    st.integers(2, 6),
    st.integers(1, 12),
    st.integers(1, 9),
    st.booleans(),
    st.integers(0, 1000),
)
def test_rows_are_unit_and_columns_have_their_mass(
    counts: list[int], width: int, concepts: int, top: int, debias: bool, seed: int
) -> None:
    text, support, labels = random_support(tuple(counts), width, concepts, seed)
    classes, count = len(counts), len(labels)
    for column_mass in (True, False):
        visual = discover_visual_concepts(
            text, support, labels, classes, top, debias, column_mass=column_mass
        )
        assert visual.features.shape == (concepts, width)
        assert visual.images.shape == visual.similarities.shape == (concepts, min(top, count))
        torch.testing.assert_close(visual.features.norm(dim=1), torch.ones(concepts).double())
        assert bool((visual.association >= 0).all())
        mass = visual.association.sum(0)
        if column_mass:
            expected = torch.full((classes,), count / classes).double()
            torch.testing.assert_close(mass, expected, rtol=0, atol=1e-6)
        assert float(mass.sum()) == pytest.approx(count)
        assert visual.grounding.isfinite().all()
        # A concept retrieves an image once, the best first.
        assert all(len(set(row)) == len(row) for row in visual.images.tolist())
        assert bool((visual.similarities.diff(dim=1) <= 0).all())
        assert all(torch.tensor(value).isfinite() for value in visual.diagnostics.values())


@given(st.integers(0, 1000), st.booleans())
def test_permutations_permute_and_nothing_else(seed: int, debias: bool) -> None:
    text, support, labels = random_support((3, 2, 4), 8, 10, seed)
    before = discover_visual_concepts(text, support, labels, 3, 2, debias)
    generator = torch.Generator().manual_seed(seed)
    images = torch.randperm(len(labels), generator=generator)
    concepts = torch.randperm(len(text), generator=generator)
    classes = torch.randperm(3, generator=generator)  # class k is now called classes[k]
    after = discover_visual_concepts(
        text[concepts], support[images], classes[labels[images]], 3, 2, debias
    )
    assert torch.equal(images[after.images], before.images[concepts])
    torch.testing.assert_close(after.features, before.features[concepts])
    torch.testing.assert_close(after.association[:, classes], before.association[concepts])
    torch.testing.assert_close(after.grounding, before.grounding[concepts])


def test_concepts_named_twice_share_their_association() -> None:
    text, support, labels = random_support((3, 3, 3), 8, 10)
    single = discover_visual_concepts(text, support, labels, 3, 2)
    double = discover_visual_concepts(torch.cat([text, text]), support, labels, 3, 2)
    torch.testing.assert_close(
        double.association[:10] + double.association[10:], single.association
    )
    assert double.diagnostics["distinct"] == single.diagnostics["distinct"]


def test_images_that_are_all_alike_are_finite() -> None:
    support = SUPPORT[:1].expand(4, 3)
    visual = discover_visual_concepts(CONCEPTS, support, torch.tensor([0, 0, 1, 1]), 2, 2)
    assert sets(visual) == [{0, 1}] * 3
    assert bool((visual.grounding.abs() < 1).all())


# --- diagnostics --------------------------------------------------------------------------


def test_diagnostics_of_the_toy_set() -> None:
    diagnostics = found(2).diagnostics
    scores = SUPPORT @ found(2).features.T
    assert diagnostics == {
        "concepts": 3,
        "distinct": 3,
        "used_share": pytest.approx(4 / 6),
        "empty_classes": 0,
        "mass_ratio": pytest.approx(1.5),
        "score_mean": pytest.approx(float(scores.mean())),
        "score_std": pytest.approx(float(scores.std(correction=0))),
    }
    assert describe(diagnostics).startswith("3 concepts, 3 distinct, retrieve 67 % of the support")


@pytest.mark.parametrize("debias", [False, True])
def test_degenerate_concepts_are_complained_of(debias: bool) -> None:
    assert complaint(found(2).diagnostics, debias) == ""
    empty = discover_visual_concepts(CONCEPTS[:1], SUPPORT, LABELS, 3, 2, debias=debias)
    assert empty.diagnostics["empty_classes"] > 0
    said = complaint(empty.diagnostics, debias)
    assert "classes without any visual concept: 2; support images" in said
    assert "retrieved: 33 %" in said
    assert "more text concepts" in said
    assert ("debias=True" in said) != debias  # suggested where it is not in force already


def test_they_are_warned_of_where_associations_count(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "trifocal"):
        ConceptMap().fit(SUPPORT, LABELS, None, CONCEPTS[:1])
        assert not caplog.records
        CCLI(head="tf").fit(SUPPORT, LABELS, None, CONCEPTS[:1])
    assert len(caplog.records) == 1


def test_debiasing_frees_concepts_from_hubs() -> None:
    """All concepts prefer image 0, which is near what all texts have in common."""
    shared, own = torch.tensor([1.0, 0, 0, 0, 0]).double(), torch.eye(5).double()[1:]
    text = unit(shared + 0.2 * own)
    support = torch.cat([unit(shared)[None], unit(own + 0.1 * shared)])
    labels = torch.tensor([0, 0, 1, 2, 3])
    hubs = discover_visual_concepts(text, support, labels, 4, 1, debias=False)
    assert hubs.images.flatten().tolist() == [0, 0, 0, 0]
    assert hubs.diagnostics["used_share"] == pytest.approx(0.2)
    freed = discover_visual_concepts(text, support, labels, 4, 1, debias=True)
    assert freed.images.flatten().tolist() == [1, 2, 3, 4]
    assert freed.diagnostics["empty_classes"] == 0


# --- reconstruction -----------------------------------------------------------------------


@pytest.mark.parametrize("count", [3, 8, 9, 30])
def test_reconstruction_is_ridge_regression(count: int) -> None:
    """Fewer and more images than the width take two ways to one solution."""
    width, ridge = 8, 0.05
    text, support, _ = random_support((count,), width, 6)
    images, texts = support - support.mean(0), text - text.mean(0)
    penalty = ridge * images.pow(2).sum(1).mean()
    weights = (
        texts @ images.T @ torch.linalg.inv(images @ images.T + penalty * torch.eye(count).double())
    )
    torch.testing.assert_close(reconstruct(text, support, ridge), weights @ images)
    # The weights are where the gradient of |t - w X|^2 + penalty |w|^2 is zero.
    gradient = (weights @ images - texts) @ images.T + penalty * weights
    torch.testing.assert_close(gradient, torch.zeros_like(gradient))


@pytest.mark.parametrize("count", [4, 30])
def test_without_a_penalty_it_is_a_projection(count: int) -> None:
    text, support, _ = random_support((count,), 8, 6)
    images, texts = support - support.mean(0), text - text.mean(0)
    span = torch.linalg.pinv(images) @ images
    torch.testing.assert_close(reconstruct(text, support, 1e-9), texts @ span, rtol=1e-5, atol=1e-6)


def test_a_single_image_or_concept_reconstructs_nothing() -> None:
    """Centered, nothing is left of them."""
    for text, support in ((CONCEPTS, SUPPORT[:1]), (CONCEPTS[:1], SUPPORT)):
        visual = reconstruct(text, support, 0.01)
        torch.testing.assert_close(visual, torch.zeros_like(text), **EXACT)
