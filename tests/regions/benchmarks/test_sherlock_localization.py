"""GT-Box against all permutations, Auto-Box against loops, and the trap of equal scores."""

from __future__ import annotations

import time
from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from trifocal.errors import UserError
from trifocal.regions.benchmarks.localization import (
    AutoPairs,
    localization_metrics,
    region_iou,
)


def pairs(pictures: list[list[tuple[list[float], list[float]]]]) -> AutoPairs:
    """Pairs from pictures, each a list of inferences with (scores, IoUs)."""
    rows = [
        (score, iou, question, picture)
        for question, (picture, inference) in enumerate(
            (picture, inference) for picture, ones in enumerate(pictures) for inference in ones
        )
        for score, iou in zip(*inference, strict=True)
    ]
    image = [picture for picture, ones in enumerate(pictures) for _ in ones]
    score, iou, question = (np.array([row[k] for row in rows]) for k in range(3))
    return AutoPairs(score, iou, question.astype(int), np.array(image))


def test_by_hand():
    auto = pairs(
        [
            [([0.1, 0.9, 0.3], [0.8, 0.5, 0.2]), ([0.6, 0.5], [0.51, 0.9])],
            [([0.2, 0.1], [0.4, 0.3]), ([0.9, 0.1], [0.7, 0.1]), ([0.3, 0.4], [0.9, 0.2])],
        ]
    )
    first = [[0.9, 0.8], [0.7, 0.1]]
    second = [[0.9, 0.1, 0.2], [0.2, 0.3, 0.6], [0.1, 0.5, 0.4]]
    found = localization_metrics([first, torch.tensor(second)], auto)
    assert 100 * found.gt_box == pytest.approx(16.6667, abs=1e-4)
    assert 100 * found.auto_box == pytest.approx(41.6667, abs=1e-4)
    assert 100 * found.oracle == pytest.approx(83.3333, abs=1e-4)
    assert found.gt_chance == pytest.approx((1 / 2 + 1 / 3) / 2)
    assert found.auto_chance == pytest.approx(((1 / 3 + 1) / 2 + (0 + 1 / 2 + 1 / 2) / 3) / 2)
    assert (found.gt_images, found.auto_images) == (2, 2)
    assert (found.tie_noise, found.seed) == (1e-6, 0)


def test_without_data():
    found = localization_metrics([], None)
    assert (found.gt_box, found.gt_chance, found.auto_box, found.oracle) == (None,) * 4


@given(
    st.integers(1, 5).flatmap(
        lambda n: arrays(np.float64, (n, n), elements=st.floats(-1, 1), unique=True)
    )
)
def test_gt_box_is_the_best_permutation(scores):
    n = len(scores)
    totals = {p: sum(scores[k, j] for k, j in enumerate(p)) for p in permutations(range(n))}
    ranked = sorted(totals, key=totals.get, reverse=True)
    if len(ranked) > 1 and totals[ranked[0]] - totals[ranked[1]] < 1e-4:
        return  # what the noise may turn round
    right = np.mean([k == j for k, j in enumerate(ranked[0])])
    assert localization_metrics([scores]).gt_box == pytest.approx(right)


levels = st.integers(0, 3).map(lambda k: k / 4)
inferences = st.integers(1, 5).flatmap(
    lambda n: st.tuples(
        st.lists(levels, min_size=n, max_size=n),
        st.lists(st.sampled_from([0.0, 0.5, 0.51, 1.0]), min_size=n, max_size=n),
    )
)


@given(st.lists(st.lists(inferences, min_size=1, max_size=4), min_size=1, max_size=4), st.randoms())
def test_auto_box_is_the_loop(pictures, random):
    right, best = [], []
    for picture in pictures:
        right.append(np.mean([iou[int(np.argmax(score))] > 0.5 for score, iou in picture]))
        best.append(np.mean([max(iou) > 0.5 for _, iou in picture]))
    flat = pairs(pictures)
    # Pairs of several inferences may be mixed, as long as those of one keep their order.
    question = flat.question.copy()
    random.shuffle(question)
    place: dict[int, list[int]] = {}
    for i, q in enumerate(flat.question):
        place.setdefault(int(q), []).append(i)
    order = np.array([place[int(q)].pop(0) for q in question], dtype=int)
    mixed = AutoPairs(flat.score[order], flat.iou[order], flat.question[order], flat.image)
    for each in (flat, mixed):
        found = localization_metrics(auto=each)
        assert found.auto_box == pytest.approx(np.mean(right))
        assert found.oracle == pytest.approx(np.mean(best))


def test_an_inference_without_proposals_is_wrong():
    auto = AutoPairs(np.array([0.5]), np.array([0.9]), np.array([0]), np.array([0, 0, 1]))
    found = localization_metrics(auto=auto)
    assert (found.auto_box, found.oracle, found.auto_images) == (0.25, 0.25, 2)
    none = AutoPairs(np.zeros(0), np.zeros(0), np.zeros(0, dtype=int), np.array([0]))
    assert localization_metrics(auto=none).auto_box == 0


@pytest.mark.parametrize("kind", ["all equal", "equal rows"])
def test_a_model_that_does_not_see_the_region_is_at_chance(kind):
    """Left to the solver, ties tell of its order alone; with the noise they are worth nothing."""
    rng = np.random.default_rng(0)
    pictures = []
    for n in rng.integers(3, 7, 3000):
        row = np.zeros(n) if kind == "all equal" else rng.random(n)
        pictures.append(np.tile(row, (n, 1)))
    bare = localization_metrics(pictures, tie_noise=0)
    fair = localization_metrics(pictures)
    assert fair.gt_box == pytest.approx(fair.gt_chance, abs=0.015)
    if kind == "all equal":
        assert bare.gt_box == 1.0


def test_the_noise_is_seeded_and_changes_no_clear_score():
    rng = np.random.default_rng(1)
    clear = [rng.random((4, 4)) for _ in range(200)]
    bare = localization_metrics(clear, tie_noise=0)
    assert localization_metrics(clear, seed=3).gt_box == bare.gt_box
    equal = [np.zeros((4, 4))] * 50
    one, other = (localization_metrics(equal, seed=seed).gt_box for seed in (1, 2))
    assert localization_metrics(equal, seed=1).gt_box == one != other


def test_what_is_no_number_is_an_error():
    with pytest.raises(UserError, match="hold NaN"):
        localization_metrics([[[float("nan")]]])
    with pytest.raises(UserError, match="infinity"):
        localization_metrics([[[float("inf")]]])
    nan = AutoPairs(np.array([np.nan]), np.array([1.0]), np.array([0]), np.array([0]))
    with pytest.raises(UserError, match="hold NaN"):
        localization_metrics(auto=nan)
    with pytest.raises(ValueError, match="must be square"):
        localization_metrics([np.zeros((2, 3))])


def test_as_many_pairs_as_the_test_set_take_seconds():
    rng = np.random.default_rng(0)
    questions = 23_000
    question = rng.integers(0, questions, 2_365_256)
    auto = AutoPairs(
        rng.random(len(question)), rng.random(len(question)), question, np.arange(questions) // 4
    )
    start = time.perf_counter()
    found = localization_metrics(auto=auto)
    assert time.perf_counter() - start < 10
    assert found.auto_box == pytest.approx(0.5, abs=0.02)


whole = st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(1, 9), st.integers(1, 9))


@given(whole, st.lists(whole, min_size=1, max_size=4))
def test_region_iou_counts_pixels(box, region):
    def pixels(boxes):
        grid = np.zeros((20, 20), dtype=bool)
        for x, y, wide, high in boxes:
            grid[y : y + high, x : x + wide] = True
        return grid

    one, many = pixels([box]), pixels(region)
    expected = (one & many).sum() / (one | many).sum()
    assert region_iou(np.array([box]), region)[0] == pytest.approx(expected)
