"""Composition tests: the false captions are false, and blind scorers see no difference."""

from __future__ import annotations

import math
from collections import Counter
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.sparse import csr_matrix
from scipy.special import expit

from trifocal.errors import UserError
from trifocal.world.captions import caption
from trifocal.world.composition import TASKS, composition_items
from trifocal.world.scene import make_scene
from trifocal.world.vocabulary import COLORS, HELD_OUT, KINDS

COUNT = 5000  # 3 % are then 4.2 standard deviations
Pairs = list[tuple[str, str]]


@cache
def _pairs(task: str) -> Pairs:
    return [(item.caption, item.negative_caption) for item in composition_items(task, COUNT)]


def _words(text: str) -> list[str]:
    return text.lower().replace(",", " ,").rstrip(".").split()


def _accuracy(margins: np.ndarray) -> float:
    """Return the share of pairs decided for the true caption; a tie is half right."""
    return float(np.mean(margins > 1e-9) + 0.5 * np.mean(np.abs(margins) <= 1e-9))


def _features(text: str, bigrams: bool) -> list[str]:
    words = ["^", *_words(text), "$"]
    return words + [f"{a} {b}" for a, b in pairwise(words)] if bigrams else words


def _differences(pairs: Pairs, bigrams: bool) -> csr_matrix:
    """Return features of the true minus those of the false caption: (pairs, features)."""
    names: dict[str, int] = {}
    rows, columns, values = [], [], []
    for row, texts in enumerate(pairs):
        for text, sign in zip(texts, (1.0, -1.0)):
            for feature in _features(text, bigrams):
                rows.append(row)
                columns.append(names.setdefault(feature, len(names)))
                values.append(sign)
    return csr_matrix((values, (rows, columns)), shape=(len(pairs), len(names)))


def _logistic_regression(pairs: Pairs, bigrams: bool) -> float:
    """Fit word (pair) weights on half of the pairs, score the other half, and the reverse."""
    features = _differences(pairs, bigrams)
    fold = np.arange(len(pairs)) % 2
    right = np.zeros(len(pairs))
    for held_out in range(2):
        train = features[fold != held_out]

        def objective(weights: np.ndarray, train=train):
            margins = train @ weights
            loss = np.logaddexp(0, -margins).mean() + 1e-3 * weights @ weights
            gradient = -(train.T @ expit(-margins)) / len(margins) + 2e-3 * weights
            return loss, gradient

        start = np.zeros(features.shape[1])
        fit = minimize(objective, start, jac=True, method="L-BFGS-B", options={"maxiter": 25})
        right[fold == held_out] = features[fold == held_out] @ fit.x
    return _accuracy(right)


def _length(pairs: Pairs, sign: int, unit) -> float:
    return _accuracy(np.array([sign * (len(unit(a)) - len(unit(b))) for a, b in pairs], float))


@cache
def _language_model() -> tuple[Counter, Counter, int]:
    """Count words and word pairs of training captions, as a model of likely captions."""
    single: Counter[str] = Counter()
    double: Counter[tuple[str, str]] = Counter()
    for index in range(8000):
        words = ["^", *_words(caption(make_scene(0, index), np.random.default_rng(index))), "$"]
        single.update(words)
        double.update(pairwise(words))
    return single, double, single.total()


def _likelihood(text: str, order: int) -> float:
    single, double, total = _language_model()
    words = ["^", *_words(text), "$"]
    if order == 1:
        return sum(math.log((single[word] + 0.5) / total) for word in words)
    smoothing = 0.1 * len(single)
    return sum(math.log((double[a, b] + 0.1) / (single[a] + smoothing)) for a, b in pairwise(words))


def _model_scorer(pairs: Pairs, order: int) -> float:
    return _accuracy(np.array([_likelihood(a, order) - _likelihood(b, order) for a, b in pairs]))


SCORERS = {
    "words": lambda pairs: _logistic_regression(pairs, bigrams=False),
    "word pairs": lambda pairs: _logistic_regression(pairs, bigrams=True),
    "longer in words": lambda pairs: _length(pairs, 1, str.split),
    "longer in letters": lambda pairs: _length(pairs, 1, str),
    "likelier by words": lambda pairs: _model_scorer(pairs, 1),
    "likelier by word pairs": lambda pairs: _model_scorer(pairs, 2),
}


@pytest.mark.parametrize("scorer", SCORERS)
@pytest.mark.parametrize("task", TASKS)
def test_blind_scorers_are_at_chance(task, scorer):
    assert SCORERS[scorer](_pairs(task)) == pytest.approx(0.5, abs=0.03)


def test_blind_scorers_would_notice_careless_tests():
    """The same scorers, on negatives made as is often done, are far from chance."""
    longer = [(a, f"{a.rstrip('.')} and a red ball.") for a, _ in _pairs("replace_obj")]
    assert SCORERS["longer in words"](longer) == 0.0
    assert SCORERS["words"](longer) > 0.95
    few = set(KINDS[:8])  # false captions take their nouns from a quarter of all kinds
    rare = [(a, b) for a, b in _pairs("replace_obj") if few & (set(_words(b)) - set(_words(a)))]
    assert SCORERS["words"](rare) > 0.7
    backward = [(a, " ".join(reversed(_words(a)))) for a, _ in _pairs("swap_obj")]
    assert SCORERS["likelier by word pairs"](backward) > 0.95
    assert SCORERS["word pairs"](backward) > 0.95


@pytest.mark.parametrize("task", TASKS)
def test_captions_differ_as_the_task_says(task):
    for true, false in _pairs(task)[:500]:
        a, b = Counter(_words(true)), Counter(_words(false))
        for words in (a, b):  # articles follow the next word
            words["a"] += words.pop("an", 0)
        only_true, only_false = sorted((a - b).elements()), sorted((b - a).elements())
        if task.startswith("swap"):
            assert only_true == only_false == []
            assert true != false
        elif task in ("replace_obj", "replace_att", "add_att"):
            assert len(only_true) == len(only_false) == 1
            assert (only_true[0] in KINDS) == (only_false[0] in KINDS) == (task == "replace_obj")
        elif task == "add_obj":
            assert len(_words(true)) == len(_words(false))
            assert {*only_true, *only_false} <= {*KINDS, *COLORS}
            assert set(only_true) & set(KINDS)
        else:
            assert not {*only_true, *only_false} & {*KINDS, *COLORS}


@pytest.mark.parametrize("task", TASKS)
def test_negatives_use_only_pairs_that_the_split_shows(task):
    for _, false in _pairs(task)[:500]:
        words = _words(false)
        assert not {(b, a) for a, b in pairwise(words)} & HELD_OUT


@pytest.mark.parametrize("task", TASKS)
def test_items_are_repeatable_and_a_shorter_list_begins_a_longer_one(task):
    assert composition_items(task, 20) == composition_items(task, 30)[:20]
    first, other = composition_items(task, 1)[0], composition_items(task, 1, seed=1)[0]
    assert first != other
    assert first.filename == f"{make_scene(0, first.scene, 'test').id}.png"


def test_wrong_arguments():
    with pytest.raises(UserError, match="Did you mean 'swap_att'"):
        composition_items("swap_attr", 5)
    with pytest.raises(UserError, match="novel"):
        composition_items("swap_att", 5, split="novel")
