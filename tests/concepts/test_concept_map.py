"""The concept map: what its logits are made of, what is selected, and its reasons."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from trifocal.concepts.concept_map import ATOMS, ConceptMap
from trifocal.concepts.explanation import Term
from trifocal.concepts.likely_space import LENGTHS, POWERS
from trifocal.concepts.placed import Places, concept_frame
from trifocal.concepts.space import POWER, ConceptSpace
from trifocal.concepts.support import Labeled, Support, unit
from trifocal.errors import UserError

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


USUAL = {"power": POWER, "length": 0.0}


def usual_space(data: Support) -> ConceptSpace:
    return Places(concept_frame(data.features, data.concepts), data, 1.0).at(POWER, 0.0).space


def test_a_strong_prior_is_zero_shot() -> None:
    data = support()
    head = fit(data, penalty=1e12)
    x = data.features
    torch.testing.assert_close(head.logits(x), 100 * x @ data.class_text.T)
    assert head.chosen_ == {"share": 0.0, "text": 1.0, **USUAL}


def test_a_weak_prior_fits_the_support() -> None:
    data = support()
    head = fit(replace(data, text=data.class_text.roll(1, 0)), penalty=1e-4)
    assert torch.equal(head.predict(data.features), data.labels)
    assert head.trainable_parameters == 8 * 3


def test_logits_are_the_mode_in_the_concept_space() -> None:
    data = support(views=3)
    head = fit(data, scale=10.0, penalty=0.1)
    space = usual_space(data)
    points = space(data.features)
    weights = torch.linalg.solve(space.whitening, head.weights_)
    logits = 10 * data.features @ data.class_text.T + points @ weights
    torch.testing.assert_close(head.logits(data.features), logits)
    errors = logits.softmax(1) - F.one_hot(data.labels, 3)
    gradient = points.T @ errors + 0.1 * weights
    torch.testing.assert_close(gradient, torch.zeros_like(gradient), rtol=0, atol=1e-3)


def test_what_was_selected_can_be_given() -> None:
    data = support()
    for judged in (None, (3 * data.features, data.labels)):
        head = fit(data, judged, scale=1.0, select=True)
        assert 0 <= head.chosen_["share"] <= 1
        assert 0 <= head.chosen_["text"] <= 1
        again = fit(data, judged, scale=1.0, **head.chosen_, select=True)
        torch.testing.assert_close(again.logits(data.features), head.logits(data.features))
        assert again.chosen_ == head.chosen_
        assert again.temperature_ == pytest.approx(head.temperature_)


def test_the_space_is_selected_without_class_texts_and_can_be_given() -> None:
    data = replace(support(), text=None)
    head = fit(data, select=True)
    assert head.chosen_["power"] in POWERS
    assert head.chosen_["length"] in LENGTHS
    again = fit(data, None, **head.chosen_, select=True)
    torch.testing.assert_close(again.logits(data.features), head.logits(data.features))
    other = fit(data, power=0.5, length=1.0, select=True)
    assert (other.chosen_["power"], other.chosen_["length"]) == (0.5, 1.0)
    assert fit(support(), select=True).chosen_["power"] == POWER


@pytest.mark.parametrize("length", [0.0, 0.5])
def test_terms_add_up_whatever_the_length(length: float) -> None:
    data = replace(support(), text=None)
    head = fit(data, length=length)
    for one in head.explain(data.features):
        assert sum(term.value for term in one.terms) == pytest.approx(one.logit)
    assert (
        not torch.equal(unit(head._points(data.features)), head._points(data.features))
        or not length
    )


def test_names_that_mean_nothing_count_little() -> None:
    data = support()
    trusted = fit(data, scale=5.0, select=True)
    fooled = fit(replace(data, text=data.class_text.roll(1, 0)), scale=5.0, select=True)
    assert fooled.chosen_["text"] < trusted.chosen_["text"]
    assert fooled.chosen_["text"] < 0.3
    torch.testing.assert_close(
        fooled.text_.norm(dim=1), torch.full((3,), fooled.chosen_["text"]).double()
    )


def test_gaussians_alone_are_nearest_means_where_the_scatter_is_round() -> None:
    data = replace(support(), text=None)
    head = fit(data, share=1.0)
    space = usual_space(data)
    points = space(data.features)
    means = torch.stack([points[data.labels == label].mean(0) for label in range(3)])
    nearest = torch.cdist(points, means).argmin(1)
    assert torch.equal(head.predict(data.features), nearest)


def test_the_usual_shares_where_nothing_is_selected() -> None:
    data = support()
    assert fit(data).chosen_ == {"share": 0.0, "text": 1.0, **USUAL}
    assert fit(replace(data, text=None)).chosen_ == {"share": 0.7, "text": 1.0, **USUAL}


def test_with_one_image_a_class_there_are_no_gaussians_and_it_is_not_calibrated() -> None:
    data = support()
    one = replace(data, views=data.views[::4], labels=data.labels[::4], text=None)
    head = fit(one, select=True)
    assert head.chosen_ == {"share": 0.0, "text": 1.0, **USUAL}
    assert not hasattr(head, "known_")
    assert head.certainty == (1.0, 1 / 5)
    with pytest.raises(UserError, match="two pictures a class"):
        head.known_shares(head.logits(data.features))
    means = fit(one, select=True, share=1.0)  # asked for, they are the nearest pictures
    assert torch.equal(means.predict(one.features), one.labels)


def test_classes_of_one_image_beside_others_do_not_stop_the_selection() -> None:
    data = support()
    uneven = replace(data, views=data.views[3:], labels=data.labels[3:], text=None)
    assert torch.bincount(uneven.labels).tolist() == [1, 4, 4]
    head = fit(uneven, select=True)
    assert len(head.known_) == 8
    assert bool(head.logits(data.features).isfinite().all())


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
