"""Accuracy and per-class recall against brute force."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch.nn.functional import normalize

from trifocal.metrics.accuracy import accuracy, confusion, correct_at, mean_per_class_recall


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 12), st.integers(1, 5), st.integers(1, 4))
def test_top_k_counts_a_tie_as_its_share(seed, images, classes, levels):
    rng = np.random.default_rng(seed)
    logits = rng.integers(0, levels, (images, classes)).astype(float)
    labels = rng.integers(0, classes, images)
    for k in (1, 2, 5):
        expected = []
        for row, label in zip(logits, labels, strict=True):
            above = int((row > row[label]).sum())
            tied = int((row == row[label]).sum())
            expected.append(min(max(k - above, 0), tied) / tied)
        got = correct_at(torch.tensor(logits), torch.tensor(labels), k)
        np.testing.assert_allclose(got, expected)


def test_per_class_recall_counts_classes_not_images():
    logits = torch.eye(3)[torch.tensor([0, 0, 0, 1, 0])]
    labels = torch.tensor([0, 0, 0, 1, 1])
    assert accuracy(logits, labels) == pytest.approx(4 / 5)
    assert mean_per_class_recall(logits, labels) == pytest.approx((1 + 1 / 2) / 2)


def test_absent_classes_do_not_count():
    logits = torch.eye(5)
    assert mean_per_class_recall(logits[[1, 4]], torch.tensor([1, 4])) == 1.0


def test_constant_and_nan_classifiers():
    labels = torch.arange(4)
    assert accuracy(torch.zeros(4, 4), labels) == pytest.approx(1 / 4)
    assert accuracy(torch.full((4, 4), float("nan")), labels) == 0.0


def test_confusion():
    logits = torch.eye(3)[torch.tensor([0, 2, 2])]
    table = confusion(logits, torch.tensor([0, 1, 2]))
    assert table.tolist() == [[1, 0, 0], [0, 0, 1], [0, 0, 1]]


def test_real_zero_shot_imagenet_rows(real_data):
    """61.03 % on the rows of the second 1-shot set that are not in the first."""
    features = load_file(real_data / "features" / "imagenet.safetensors")
    text = load_file(real_data / "features" / "text.safetensors")["imagenet1k"].float()
    names = {"train1", "train1_label", "train2", "train2_label"}
    assert names <= features.keys(), sorted(features)
    first = {row.numpy().tobytes() for row in features["train1"]}
    new = [i for i, row in enumerate(features["train2"]) if row.numpy().tobytes() not in first]
    assert len(new) == 1999
    images = normalize(features["train2"][new].float(), dim=1)
    logits = images @ normalize(text, dim=1).T
    labels = features["train2_label"][new].long()
    assert 100 * accuracy(logits, labels) == pytest.approx(61.03, abs=0.06)
