"""Concept scores and the inference network: the worked numbers, and what they reduce to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from tests.concepts.baselines.toy import EXACT, LABELS, QUERY, SUPPORT, TEXT, near, rows
from trifocal.concepts import ccli
from trifocal.concepts import rows as arithmetic
from trifocal.concepts.baselines import TipAdapter
from trifocal.concepts.ccli import ALPHAS, BETAS, CCLI, concept_scores, transferred
from trifocal.concepts.discovery import VisualConcepts, discover_visual_concepts
from trifocal.concepts.optimize import linear_start
from trifocal.concepts.search import TipGrid, choose_scale
from trifocal.concepts.support import Labeled, Support, unit

CONCEPTS = rows((1, 0, 0), (0, 0.6, 0.8), (0.6, 0.64, 0.48))
TOY = Support(SUPPORT[:, None], LABELS, TEXT, CONCEPTS, None, 3)


def training_free(debias: bool = False, **changes: Any) -> CCLI:
    params: dict[str, Any] = {"head": "tf", "debias": debias, "top": 2, "select": False}
    return CCLI(**{**params, **changes}).fit(SUPPORT, LABELS, TEXT, CONCEPTS)


def found(top: int = 2) -> VisualConcepts:
    return discover_visual_concepts(CONCEPTS, SUPPORT, LABELS, 3, top, debias=False)


def new(kind: str = "tf", **changes: Any) -> CCLI:
    """Return a reading that is not trained, with a hidden layer of one."""
    params = {"top": 2, "debias": False, "hidden": 1, "dropout": 0.0, "epochs": 0, "select": False}
    return CCLI(head=kind, **{**params, **changes})  # type: ignore[arg-type]


def fitted(judged: Labeled | None = None, data: Support = TOY, **changes: Any) -> CCLI:
    head = new(**{"select": judged is not None, **changes})
    return head.fit(data.views, data.labels, data.text, data.concepts, judged)


def loss_for_class_2(head: CCLI) -> float:
    return float(F.cross_entropy(head.logits(QUERY), torch.tensor([2])))


# --- training-free logits -----------------------------------------------------------------


def test_concept_scores() -> None:
    cosines = QUERY @ fitted().concepts_.T
    near(cosines, 0.493315315, 0.930204279, 0.836982999)
    near(concept_scores(cosines, "exp", 5.5), 0.061620186, 0.681215574, 0.407956999)
    assert torch.equal(concept_scores(cosines, "cosine", 5.5), cosines)
    near(concept_scores(rows((0.1, 0.1 + 0.01 * 0.6931471805599453)), "softmax", 5.5), 1 / 3, 2 / 3)


def test_training_free_logits() -> None:
    head = training_free()
    near(head.logits(QUERY), 57.956894548, 87.485952799, 86.950644298)
    chances = head.predict_proba(QUERY)[0]
    assert float(chances[0]) == pytest.approx(9.45e-14, rel=1e-3)
    near(chances[1:], 0.630720382, 0.369279618)
    assert loss_for_class_2(head) == pytest.approx(0.996201150, abs=2e-9)
    near(training_free(alpha=2.0).logits(QUERY), 58.313789095, 88.571905598, 88.301288595)
    assert head.predict(SUPPORT).tolist() == LABELS.tolist()
    assert head.trainable_parameters == 0


def test_without_smoothing() -> None:
    branch = training_free(smoothing=0.0).logits(QUERY) - 100 * QUERY @ TEXT.T
    near(branch, 0.354131580, 1.089172573, 1.362431149)


def test_debiased() -> None:
    head = training_free(debias=True)
    near(head.logits(QUERY), 57.728300711, 87.121622748, 86.947913191)
    assert loss_for_class_2(head) == pytest.approx(0.783769103, abs=2e-9)


def test_contributions_of_concepts() -> None:
    (explained,) = training_free().explain(QUERY, [2])
    values = {term.index: term.value for term in explained.terms if term.kind == "concept"}
    near(rows((values[0], values[1], values[2])), 0.000813468, 1.344445260, 0.005385571)
    assert sum(values.values()) == pytest.approx(1.350644298, abs=2e-9)
    strongest = next(term for term in explained.terms if term.index == 1)
    assert set(strongest.images) == {3, 4}
    assert strongest.score == pytest.approx(0.681215574, abs=2e-9)
    images = torch.tensor([0, 0.36, 0.6, 0.96, 0.8, 0.64]).double()
    z = (0.88 - float(images.mean())) / float(images.std(correction=0))
    assert strongest.grounding == pytest.approx(z)


# --- reductions ---------------------------------------------------------------------------


@given(st.floats(0, 10), st.floats(0.1, 20))
def test_support_images_as_concepts_are_tip_adapter(alpha: float, beta: float) -> None:
    head = CCLI(
        head="tf", debias=False, top=1, smoothing=0.0, alpha=alpha, beta=beta, select=False
    ).fit(SUPPORT, LABELS, TEXT, SUPPORT)
    tip = TipAdapter(alpha=alpha, beta=beta).fit(SUPPORT, LABELS, TEXT)
    torch.testing.assert_close(head.logits(QUERY), tip.logits(QUERY), **EXACT)


def test_support_images_as_concepts_in_numbers() -> None:
    found = discover_visual_concepts(SUPPORT, SUPPORT, LABELS, 3, 1, debias=False, smoothing=0.0)
    assert torch.equal(found.features, SUPPORT)
    near(found.association, *F.one_hot(LABELS).flatten().tolist())
    scores = concept_scores(QUERY @ found.features.T, "exp", 5.5)
    near(scores @ found.association, 0.126700785, 0.530580991, 0.785809096)


@given(st.lists(st.integers(1, 4), min_size=2, max_size=4))
def test_without_column_mass_uneven_shots_are_tip_adapter_too(counts: list[int]) -> None:
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    generator = torch.Generator().manual_seed(0)
    support = torch.randn(len(labels), 5, generator=generator, dtype=torch.float64)
    text = torch.randn(len(counts), 5, generator=generator, dtype=torch.float64)
    head = CCLI(
        head="tf", debias=False, top=1, smoothing=0.0, column_mass=False, alpha=1.17, select=False
    ).fit(support, labels, text, support)
    tip = TipAdapter().fit(support, labels, text)
    torch.testing.assert_close(head.logits(-support), tip.logits(-support), **EXACT)


def test_cosine_and_linear_weights_are_a_linear_classifier() -> None:
    """Without a nonlinearity, concepts add nothing to weights in the span of the support."""
    head = fitted(kind="linear", score="cosine")
    head.association_ = rows((0.3, -0.2, 0.1), (0, 0.5, -0.4), (0.7, 0.1, 0.2))
    branch = head.logits(QUERY) - 100 * QUERY @ TEXT.T
    expected = rows((0.73388269, 0.45013738, -0.15535358))  # to eight decimals
    torch.testing.assert_close(branch, expected, rtol=0, atol=5e-9)
    weights = head.concepts_.T @ head.association_
    torch.testing.assert_close(branch, QUERY @ weights)


def test_without_branch_and_residual_it_is_zero_shot() -> None:
    for kind in ("tf", "linear", "full", "mlp_plain"):
        near(fitted(kind=kind, alpha=0.0).logits(QUERY), 57.6, 86.4, 85.6)


@pytest.mark.parametrize("head", ["tf", "linear"])
def test_naming_every_concept_twice_changes_nothing(head: str) -> None:
    params: dict[str, Any] = {"head": head, "top": 2, "epochs": 0, "select": False}
    single = CCLI(**params).fit(SUPPORT, LABELS, TEXT, CONCEPTS)
    double = CCLI(**params).fit(SUPPORT, LABELS, TEXT, torch.cat([CONCEPTS, CONCEPTS]))
    torch.testing.assert_close(double.logits(QUERY), single.logits(QUERY), **EXACT)


# --- the network --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["linear", "full"])
def test_untrained_it_is_the_training_free_head(kind: str) -> None:
    for x in (SUPPORT, QUERY):
        assert torch.equal(fitted(kind=kind, hidden=256).logits(x), fitted().logits(x))


def test_gradients_at_the_start() -> None:
    head = fitted(kind="full")
    near(head.mean_, 0.274251406, 0.233006806, 0.242449346)
    near(head.spread_, 0.340490431, 0.240411798, 0.190320495)
    scores = concept_scores(QUERY @ head.concepts_.T, "exp", 5.5)
    standard = (scores - head.mean_) / head.spread_
    near(standard, -0.624485156, 1.864337657, 0.869626007)
    head.inner_ = rows((0.5,), (0.5,), (-0.25,))
    near((standard @ head.inner_ + head.bias_).relu(), 0.402519749)
    learned = [head.inner_, head.outer_, head.residual_]
    for tensor in learned:
        tensor.requires_grad_(True)
    logits = head.logits(QUERY)
    loss = F.cross_entropy(logits, torch.tensor([2]))
    at_logits, at_inner, at_outer, at_residual = torch.autograd.grad(loss, [logits, *learned])
    near(at_logits, 0, 0.630720382, -0.630720382)  # the first class has a chance of 1e-13
    near(at_inner, 0, 0, 0)
    near(at_outer, 0, 0.253877410, -0.253877410)
    expected = rows((0, 0, 0), (11.352967, -6.660407, 8.880543), (4.843933, -15.137289, -3.632949))
    torch.testing.assert_close(at_residual, expected, rtol=0, atol=1e-6)
    torch.testing.assert_close((at_residual * TEXT).sum(1), torch.zeros(3).double())


def test_weights_start_as_linear_layers_do() -> None:
    generator = torch.Generator().manual_seed(0)
    drawn = linear_start(400, 100, generator, torch.zeros(1, dtype=torch.float64))
    bound = 1 / 20
    assert drawn.dtype == torch.float64
    assert float(drawn.abs().max()) <= bound
    assert float(drawn.std()) == pytest.approx(bound / 3**0.5, rel=0.02)
    layer = torch.nn.Linear(400, 100).weight.detach()
    assert float(drawn.std()) == pytest.approx(float(layer.std()), rel=0.05)


TRAINED: list[tuple[dict[str, Any], int]] = [
    ({"kind": "tf"}, 0),
    ({"kind": "linear"}, 9),
    ({"kind": "linear", "learn_concepts": True}, 9 + 9),
    ({"kind": "full", "hidden": 4}, 3 * 4 + 4 + 4 * 3 + 9),
    ({"kind": "full", "hidden": 4, "text_residual": False}, 3 * 4 + 4 + 4 * 3),
    ({"kind": "full", "hidden": 0}, 9),
    ({"kind": "full", "hidden": 0, "learn_concepts": True}, 9 + 9),
    ({"kind": "full", "hidden": 0, "learn_concepts": True, "keep_images": True}, 9),
    ({"kind": "mlp_plain", "hidden": 4}, 3 * 4 + 4 + 4 * 3 + 3),
    ({"kind": "clip_adapter", "hidden": 4}, 3 * 4 + 4 + 4 * 3 + 3),
]


@pytest.mark.parametrize(("changes", "count"), TRAINED)
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_training_lowers_the_loss(changes: dict[str, Any], count: int, dropout: float) -> None:
    untrained = fitted(**changes, scale=1.0)
    training: dict[str, Any] = {"dropout": dropout, "epochs": 50, "batch": 2, "lr": 1e-2}
    trained = fitted(**changes, scale=1.0, **training)
    assert trained.trainable_parameters == untrained.trainable_parameters == count
    before = float(F.cross_entropy(untrained.logits(SUPPORT), LABELS))
    after = float(F.cross_entropy(trained.logits(SUPPORT), LABELS))
    assert after < 0.99 * before if count else after == before
    if changes.get("learn_concepts") and not changes.get("keep_images"):
        assert not torch.equal(trained.concepts_, untrained.concepts_)
        torch.testing.assert_close(trained.concepts_.norm(dim=1), torch.ones(3).double())
    else:
        assert torch.equal(trained.concepts_, untrained.concepts_)


def test_learning_leaves_what_it_was_given() -> None:
    given = CONCEPTS.clone()
    head = new("linear", visual="text", learn_concepts=True, epochs=3)
    head.fit(SUPPORT, LABELS, TEXT, given)
    assert torch.equal(given, CONCEPTS)
    torch.testing.assert_close(head.text_concepts_, CONCEPTS)
    assert not torch.equal(head.concepts_, head.text_concepts_)


def test_dropout_is_for_training_only() -> None:
    changes: dict[str, Any] = {"kind": "mlp_plain", "hidden": 8, "epochs": 5, "lr": 1e-3}
    without, half = fitted(**changes), fitted(**changes, dropout=0.5)
    assert not torch.equal(half.inner_, without.inner_)
    assert torch.equal(half.logits(QUERY), half.logits(QUERY))


def test_dropout_leaves_the_global_random_numbers_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    fitted(kind="full", hidden=4, dropout=0.5, epochs=2)
    assert torch.equal(torch.rand(3), expected)


def test_without_texts_there_is_no_residual() -> None:
    """The direction of 0 + R would be the sign of the first gradient, whatever comes after."""
    head = fitted(kind="full", data=replace(TOY, text=None), epochs=3, without_text="nothing")
    assert not hasattr(head, "residual_")
    assert head.logits(QUERY).isfinite().all()


# --- selection ----------------------------------------------------------------------------


def test_alpha_and_beta_are_the_first_best_of_the_grid() -> None:
    # Judged by wrong texts, so that the branch has something to put right.
    data = replace(TOY, text=TEXT.roll(1, 0))
    labels = torch.tensor([0, 1, 1, 1, 2, 0])
    head = fitted((3 * SUPPORT, labels), data, scale=1.0)
    grid, best = TipGrid(7.0, 3.0, 1.0), (-1, 0.0, 0.0)
    base = SUPPORT @ data.class_text.T
    for beta in grid.betas:
        branch = concept_scores(SUPPORT @ head.concepts_.T, "exp", beta) @ head.association_
        for alpha in grid.alphas:
            right = int(((base + alpha * branch).argmax(1) == labels).sum())
            if right > best[0]:
                best = (right, alpha, beta)
    assert head.chosen_ == {"alpha": best[1], "beta": best[2]}
    again = fitted(data=data, scale=1.0, **head.chosen_)
    assert torch.equal(again.logits(QUERY), head.logits(QUERY))


@pytest.mark.parametrize("kind", ["linear", "full", "mlp_plain"])
@pytest.mark.parametrize("alpha", [1.0, 0.5, 0.0])
def test_alpha_of_a_learned_head(kind: str, alpha: float) -> None:
    changes: dict[str, Any] = {"kind": kind, "scale": 1.0, "alpha": alpha, "epochs": 5, "lr": 1e-2}
    plain = fitted(**changes)
    chosen = fitted((SUPPORT, LABELS), **changes)
    full = fitted(**changes)
    full.chosen_["alpha"] = 0.0
    base = full.logits(SUPPORT)
    full.chosen_["alpha"] = 1.0
    branch = full.logits(SUPPORT) - base
    assert chosen.chosen_["alpha"] == choose_scale(base, branch, LABELS, ALPHAS)
    torch.testing.assert_close(plain.logits(SUPPORT), base + alpha * branch)
    torch.testing.assert_close(chosen.logits(SUPPORT), base + chosen.chosen_["alpha"] * branch)


def wrong_texts() -> tuple[Support, Labeled]:
    """Texts of other classes, so that the branch has something to put right; and held-out images."""
    held = unit(SUPPORT + 0.3 * SUPPORT.roll(2, 0))
    return replace(TOY, text=TEXT.roll(1, 0)), (3 * held, LABELS)


def selecting(
    monkeypatch: pytest.MonkeyPatch, data: Support, held: Labeled, **changes: Any
) -> CCLI:
    """Return a head that selected on these pictures as if they had been held out."""
    monkeypatch.setattr(ccli, "held_out", lambda data, seed: (data, held))
    return fitted(data=data, select=True, **changes)


@pytest.mark.parametrize("score", ["exp", "cosine", "softmax"])
@pytest.mark.parametrize("kind", ["tf", "linear", "full"])
def test_tried_out_is_the_training_free_head(
    kind: Any, score: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The most right, then the lowest cross-entropy, whatever is learned later."""
    data, held = wrong_texts()
    changes: dict[str, Any] = {"scale": 1.0, "score": score}
    learner = selecting(monkeypatch, data, held, kind=kind, **changes, beta=2.0, epochs=3, lr=1e-2)
    chosen = learner.chosen_
    qualities = {}
    for beta in (2.0, *BETAS) if score == "exp" else (2.0,):
        for alpha in ALPHAS:
            one = fitted(data=data, **changes, alpha=alpha, beta=beta)
            logits = one.logits(unit(held[0]))
            right = int((logits.argmax(1) == LABELS).sum())
            loss = float(F.cross_entropy(logits, LABELS))
            qualities[alpha, beta] = (right, -loss)
    found = qualities[chosen["alpha"], chosen["beta"]]
    best = max(qualities.values())
    assert found[0] == best[0]
    assert found[1] == pytest.approx(best[1], abs=1e-3)  # losses are compared to a thousandth
    assert qualities[min(qualities)][0] < best[0]  # or there was nothing to choose


def test_what_is_as_good_does_not_replace_what_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is right and sure of it: rounding must not decide."""
    for dtype in (torch.float32, torch.float64):
        data = replace(TOY, views=TOY.views.to(dtype), text=TEXT.to(dtype))
        held = (TEXT.to(dtype), torch.arange(3))
        head = selecting(monkeypatch, data, held, scale=1000.0, alpha=0.7, beta=2.0)
        assert head.chosen_ == {"alpha": 0.7, "beta": 2.0}


@pytest.mark.parametrize("kind", ["tf", "full"])
def test_without_concepts_there_is_nothing_to_try(
    kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, held = wrong_texts()
    head = selecting(monkeypatch, data, held, kind=kind, visual="raw", alpha=0.7, beta=2.0)
    assert head.chosen_ == {"alpha": 0.7, "beta": 2.0}


@pytest.mark.parametrize("kind", ["linear", "full"])
def test_what_was_chosen_is_in_force_while_training(
    kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, held = wrong_texts()
    changes: dict[str, Any] = {"kind": kind, "scale": 1.0, "hidden": 4, "epochs": 5, "lr": 1e-2}
    chosen = selecting(monkeypatch, data, held, **changes)
    given = fitted(data=data, **changes, **chosen.chosen_)
    assert torch.equal(chosen.logits(QUERY), given.logits(QUERY))
    assert chosen.chosen_ == given.chosen_ != {"alpha": 1.0, "beta": 5.5}
    assert not torch.equal(fitted(data=data, **changes).logits(QUERY), given.logits(QUERY))


# --- variants -----------------------------------------------------------------------------


def test_kept_images_are_scored_one_by_one() -> None:
    head = fitted(keep_images=True)
    scores = concept_scores(QUERY @ SUPPORT.T, "exp", 5.5)[0]
    pooled = torch.stack([scores[pair].mean() for pair in found().images])
    expected = 100 * QUERY @ TEXT.T + pooled @ found().association
    torch.testing.assert_close(head.logits(QUERY), expected)
    # With one image a concept it is the same either way.
    single = found(top=1)
    for keep in (True, False):
        one = fitted(top=1, keep_images=keep)
        scores = concept_scores(QUERY @ SUPPORT[single.images[:, 0]].T, "exp", 5.5)
        expected = 100 * QUERY @ TEXT.T + scores @ single.association
        torch.testing.assert_close(one.logits(QUERY), expected)


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("kind", ["tf", "linear", "full", "mlp_plain", "clip_adapter"])
def test_blocks_of_rows_are_the_whole(
    kind: Any, keep: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes: dict[str, Any] = {"kind": kind, "keep_images": keep, "hidden": 4}
    changes |= {"epochs": 3, "lr": 1e-2}
    whole = fitted(**changes)
    expected = whole.logits(SUPPORT)
    monkeypatch.setattr(arithmetic, "_BLOCK", 8)  # two rows of three concepts, one of six images
    torch.testing.assert_close(whole.logits(SUPPORT), expected)
    again = fitted(**changes)
    torch.testing.assert_close(again.logits(SUPPORT), expected)


def test_clip_adapter_blends_the_feature() -> None:
    head = fitted(kind="clip_adapter", hidden=2)
    scores = concept_scores(QUERY @ head.concepts_.T, "exp", 5.5)
    standard = (scores - head.mean_) / head.spread_
    hidden = (standard @ head.inner_ + head.bias_).relu()
    moved = (hidden @ head.outer_ + head.shift_).relu()
    blended = unit(0.2 * moved + 0.8 * QUERY)
    torch.testing.assert_close(head.logits(QUERY), 100 * blended @ TEXT.T)


@given(st.floats(0.1, 30), st.sampled_from(["exp", "softmax"]))
def test_scores_are_shares(beta: float, score: Any) -> None:
    scores = concept_scores(torch.linspace(-1, 1, 50).double()[None], score, beta)
    assert bool((scores > 0).all() if score == "exp" else (scores >= 0).all())
    assert bool((scores <= 1).all())


# --- new classes --------------------------------------------------------------------------


def test_new_classes_get_columns_of_the_same_mass() -> None:
    association = transferred(CONCEPTS, TEXT[:2], 4.0)
    near(association.sum(0), 4, 4)
    shares = (CONCEPTS @ TEXT[:2].T / 0.01).softmax(1)
    torch.testing.assert_close(association, 4 * shares / shares.sum(0))
    far = transferred(rows((1, 0, 0)), rows((1, 0, 0), (-1, 0, 0)), 4.0)
    assert far.isfinite().all()


def test_new_logits() -> None:
    zero_shot = 100 * QUERY @ TEXT[1:].T
    near(fitted().new_logits(QUERY, TEXT[1:]), *zero_shot.flatten().tolist())
    moved = fitted(transfer="text", alpha=2.0).new_logits(QUERY, TEXT[1:])
    scores = concept_scores(QUERY @ fitted().concepts_.T, "exp", 5.5)
    expected = zero_shot + 2 * scores @ transferred(CONCEPTS, TEXT[1:], 2.0)
    torch.testing.assert_close(moved, expected)
