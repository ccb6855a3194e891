"""Known accuracies on real CLIP ViT-B/32 features."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from trifocal.concepts.baselines import LinearProbe, ProKeR, TipAdapter, TipAdapterF, ZeroShot
from trifocal.concepts.head import Head

Labeled = tuple[Tensor, Tensor]


def accuracy(head: Head, test: Labeled) -> float:
    return 100 * float((head.predict(test[0]) == test[1]).double().mean())


def part(features: dict[str, Tensor], name: str) -> Labeled:
    return features[name].float(), features[f"{name}_label"].long()


@pytest.fixture(scope="module")
def imagenet(real_data: Path) -> tuple[Labeled, Labeled, Tensor]:
    """One shot of each class, 1,999 other images, and the texts of the classes."""
    features = load_file(real_data / "features" / "imagenet.safetensors")
    support, (rows, labels) = part(features, "train1"), part(features, "train2")
    seen = {row.numpy().tobytes() for row in support[0]}
    new = torch.tensor([row.numpy().tobytes() not in seen for row in rows])
    text = load_file(real_data / "features" / "text.safetensors")["imagenet1k"]
    assert int(new.sum()) == 1999
    return support, (rows[new], labels[new]), text.float()


def test_imagenet_one_shot_without_training(
    imagenet: tuple[Labeled, Labeled, Tensor],
) -> None:
    (support, labels), test, text = imagenet
    image = 100 / 1999  # one image more or less; α = 1 and 3 are one below the published 61.78
    for head, expected in (
        (ZeroShot(), 61.03),
        (TipAdapter(alpha=1.0), 61.78),
        (TipAdapter(), 62.08),
        (TipAdapter(alpha=3.0), 61.78),
    ):
        found = accuracy(head.fit(support, labels, text), test)
        assert found == pytest.approx(expected, abs=image + 0.01), head
    assert accuracy(ProKeR().fit(support, labels, text), test) > 62


@pytest.mark.slow
def test_imagenet_one_shot_with_trained_keys(imagenet: tuple[Labeled, Labeled, Tensor]) -> None:
    (support, labels), test, text = imagenet
    head = TipAdapterF().fit(support, labels, text)
    # Batches are drawn by another generator than where 63.0 was measured.
    assert accuracy(head, test) == pytest.approx(63.0, abs=0.4)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "known"), [("caltech101", 94.2), ("oxford_flowers", 95.4)])
def test_linear_probe_with_sixteen_shots(real_data: Path, name: str, known: float) -> None:
    features = load_file(real_data / "features" / f"{name}.safetensors")
    head = LinearProbe().fit(*part(features, "train16"))
    assert accuracy(head, part(features, "test")) == pytest.approx(known, abs=1)


@pytest.mark.parametrize(("name", "known"), [("caltech101", 75.8), ("oxford_flowers", 65.3)])
def test_one_shot_caches_are_nearest_centroids(real_data: Path, name: str, known: float) -> None:
    features = load_file(real_data / "features" / f"{name}.safetensors")
    # With one image a class and no texts, the nearest key is the nearest centroid.
    head = TipAdapter().fit(*part(features, "train1"))
    assert accuracy(head, part(features, "test")) == pytest.approx(known, abs=0.06)
