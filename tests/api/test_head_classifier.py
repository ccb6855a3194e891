"""Heads as scikit-learn's users take them: labels of any kind, searches, pipelines, folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone, is_classifier
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer

from trifocal.api.head_classifier import HeadClassifier
from trifocal.api.image_features import ImageFeatures
from trifocal.clip import Clip
from trifocal.concepts.head_registry import HEADS
from trifocal.errors import UserError

WIDTH, CLASSES, EACH = 12, ("heron", "ibis", "stork"), 6
PLAIN = [name for name, head in HEADS.items() if not head().wants_projection]


def sample(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return features (18, 12) around three centers, and their names."""
    rng = np.random.default_rng(seed)
    centers = np.random.default_rng(7).normal(size=(len(CLASSES), WIDTH))
    labels = np.repeat(np.arange(len(CLASSES)), EACH)
    rows = centers[labels] + 0.3 * rng.normal(size=(len(labels), WIDTH))
    order = rng.permutation(len(labels))
    return rows[order].astype(np.float32), np.array(CLASSES)[labels[order]]


def made(head: str, **more: Any) -> HeadClassifier:
    rng = np.random.default_rng(7)
    centers = rng.normal(size=(len(CLASSES), WIDTH)).astype(np.float32)
    concepts = np.random.default_rng(8).normal(size=(20, WIDTH)).astype(np.float32)
    text = dict(zip(CLASSES, centers))
    return HeadClassifier(head, class_text=text, concept_text=concepts, **more)


@pytest.mark.parametrize("head", PLAIN)
def test_every_head_is_an_estimator(head: str, tmp_path: Path) -> None:
    X, y = sample()
    found = made(head).fit(X, y)
    assert list(found.classes_) == list(CLASSES)
    chances = found.predict_proba(X)
    assert chances.shape == (len(X), 3)
    np.testing.assert_allclose(chances.sum(1), 1, rtol=1e-5)
    assert found.score(X, y) == np.mean(found.predict(X) == y) >= 0.8
    assert is_classifier(clone(found))
    found.save(tmp_path / "saved")
    again = HeadClassifier.load(tmp_path / "saved")
    assert np.array_equal(again.decision_function(X), found.decision_function(X))
    assert again.predict(X).dtype == y.dtype


def test_searches_and_pipelines() -> None:
    X, y = sample()
    assert cross_val_score(made("tip-adapter"), X, y, cv=3).mean() > 0.8
    grid = {"alpha": [0.1, 1.0], "head": ["tip-adapter", "tip-adapter-f"]}
    search = GridSearchCV(made("tip-adapter"), grid, cv=2).fit(X, y)
    assert search.best_params_["head"].startswith("tip")
    steps = make_pipeline(Normalizer(), HeadClassifier("gda")).fit(X, y)
    assert steps.score(X, y) == 1.0
    assert steps.set_params(headclassifier__head="linear-probe").fit(X, y).score(X, y) > 0.8


def test_a_pipeline_begins_with_pictures(tiny_clip: Clip) -> None:
    pictures = [np.full((40, 40, 3), shade, np.uint8) for shade in (0, 3, 6, 250, 252, 255)]
    steps = make_pipeline(ImageFeatures(tiny_clip), HeadClassifier("gda"))
    steps.fit(pictures, ["dark"] * 3 + ["light"] * 3)
    assert list(steps.predict(pictures[::5])) == ["dark", "light"]
    assert clone(ImageFeatures("builtin")).get_params()["model"] == "builtin"
    with pytest.raises(UserError, match=r"Invalid parameter 'modle'.*'model'"):
        ImageFeatures().set_params(modle=1)


def test_a_model_gives_the_texts(tiny_clip: Clip) -> None:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(6, tiny_clip.embed_dim)), ["a red ball", "a blue box", "a crown"] * 2
    found = HeadClassifier("zero-shot", model=tiny_clip).fit(X, y)
    assert found.head_.scale == pytest.approx(float(tiny_clip.logit_scale))
    text = (
        torch.from_numpy(X).float()
        @ tiny_clip.encode_text([f"a photo of a {name}." for name in found.classes_])
        .pooled.detach()
        .T
    )
    assert list(found.predict(X)) == list(found.classes_[text.argmax(1)])


def test_views_and_validation_rows() -> None:
    X, y = sample()
    views = np.stack([X, X + 0.01], axis=1)
    assert made("tip-adapter").fit(views, y, val=sample(1)).score(X, y) > 0.8
    with pytest.raises(UserError, match="val has the label 'emu'"):
        made("gda").fit(X, y, val=(X[:1], ["emu"]))


def test_explanations_are_of_labels() -> None:
    X, y = sample()
    found = made("tip-adapter").fit(X, y)
    for row, why in zip(found.decision_function(X[:3]), found.explain(X[:3], y[:3])):
        assert sum(term.value for term in why.terms) == pytest.approx(row[why.label], abs=1e-3)
    with pytest.raises(UserError, match="emu"):
        found.explain(X[:1], ["emu"])


@pytest.mark.parametrize(
    ("classifier", "named"),
    [
        (HeadClassifier("concept-map"), "needs concept_text; say model="),
        (HeadClassifier("clip-adapter"), "needs class_text; say model="),
        (HeadClassifier("no-head"), "no method 'no-head'"),
        (HeadClassifier("gda", alhpa=1.0), "alhpa"),
        (
            HeadClassifier("gda", class_text={"heron": np.zeros(WIDTH)}),
            "nothing for the label 'ibis'",
        ),
    ],
)
def test_what_is_wrong_is_said_when_it_is_fitted(classifier: HeadClassifier, named: str) -> None:
    with pytest.raises(UserError, match=named):
        classifier.fit(*sample())


def test_settings_are_checked_when_they_are_set() -> None:
    with pytest.raises(UserError, match=r"Invalid parameter 'aplha'.*'alpha'"):
        HeadClassifier("tip-adapter").set_params(aplha=1.0)
    assert HeadClassifier("gda").set_params(head="tip-adapter", alpha=2.0).settings == {
        "alpha": 2.0
    }


@pytest.mark.parametrize("what", ["nothing", "damaged", "later"])
def test_folders_that_hold_no_classifier(tmp_path: Path, what: str) -> None:
    HeadClassifier("gda").fit(*sample()).save(tmp_path / "a")
    file = tmp_path / "a" / "estimator.json"
    if what == "nothing":
        file.unlink()
    elif what == "damaged":
        (tmp_path / "a" / "estimator.safetensors").write_bytes(b"{}")
    else:
        file.write_text(file.read_text().replace('"format": 1', '"format": 99'))
    with pytest.raises(UserError):
        HeadClassifier.load(tmp_path / "a")


labels = st.sampled_from([(1, 5), (True, False), ("b", "a"), (-3, 2), (2.0, 7.0)])


@given(labels, st.integers(0, 50))
@settings(max_examples=8)
def test_labels_are_names_and_nothing_more(pair: tuple[Any, Any], seed: int) -> None:
    X, _ = sample(seed)
    codes = np.arange(len(X)) % 2
    found = HeadClassifier("gda").fit(X, [pair[code] for code in codes]).predict(X)
    ordered = sorted(pair)
    plain = HeadClassifier("gda").fit(X, [ordered.index(pair[code]) for code in codes]).predict(X)
    assert found.tolist() == [ordered[code] for code in plain]


@pytest.mark.parametrize(
    ("labels", "named"),
    [
        ([None, "a"], "None or NaN"),
        (np.array([float("nan"), 1.0], dtype=object), "None or NaN"),
        (np.array([0.5, 1.0], dtype=object), "continuous"),
        ([1, "1"], "mixes numbers and texts"),
        (np.array([1, "a"], dtype=object), "mixes numbers and texts"),
    ],
)
def test_labels_that_name_no_class(labels: Any, named: str) -> None:
    with pytest.raises(UserError, match=named):
        HeadClassifier("gda").fit([[0.0, 1.0], [1.0, 0.0]], labels)


def test_a_score_of_texts_beside_numbers_is_refused() -> None:
    rows = [[0.0, 1.0], [1.0, 0.0]]
    assert HeadClassifier("gda").fit(rows, [0, 1]).score(rows, [False, True]) == 1
    with pytest.raises(UserError, match="give labels of the same kind"):
        HeadClassifier("gda").fit(rows, [0, 1]).score(rows, ["0", "1"])
    with pytest.raises(UserError, match="give labels of the same kind"):
        HeadClassifier("gda").fit(rows, ["0", "1"]).score(rows, [0, 1])


@pytest.mark.parametrize(
    ("weights", "named"),
    [
        (np.nan, "shape"),
        ([np.nan] + [1] * 17, "finite"),
        ([-1] + [1] * 17, "below 0"),
        (np.zeros(18), "one is above"),
        ([1, 2], "18 numbers"),
        (["heavy"] * 18, "no number"),
    ],
)
def test_weights_of_a_score_are_checked(weights: Any, named: str) -> None:
    X, y = sample()
    found = made("gda").fit(X, y)
    with pytest.raises(UserError, match=named):
        found.score(X, y, sample_weight=weights)
    assert found.score(X, y, sample_weight=[1] * 9 + [0] * 9) == found.score(X[:9], y[:9])


@pytest.mark.parametrize("val", [(sample()[0],), sample()[0], "rows", ()])
def test_validation_rows_are_a_pair(val: Any) -> None:
    with pytest.raises(UserError, match="features and labels"):
        made("gda").fit(*sample(), val=val)


def test_class_texts_are_as_wide_as_each_other() -> None:
    text = {name: np.ones(WIDTH + (name == "ibis")) for name in CLASSES}
    with pytest.raises(UserError, match=r"shape \(12,\) for one label and \(13,\)"):
        HeadClassifier("zero-shot", class_text=text).fit(*sample())
