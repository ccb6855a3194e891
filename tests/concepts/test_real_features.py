"""CCLI's and the concept map's accuracies on real CLIP ViT-B/32 features."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from trifocal.concepts.registry import HEADS
from trifocal.concepts.support import Labeled, unit


@dataclass(frozen=True)
class ImageNet:
    """One shot of each class, 1,999 other pictures, and 2,148 names of objects as concepts."""

    support: Labeled
    test: Labeled
    text: Tensor
    concepts: Tensor

    def accuracy(self, method: str, **params: Any) -> float:
        head = HEADS[method](**params)
        head.fit(*self.support, self.text, self.concepts)
        return 100 * float((head.predict(self.test[0]) == self.test[1]).double().mean())


@pytest.fixture(scope="module")
def imagenet(real_data: Path) -> ImageNet:
    features = load_file(real_data / "features" / "imagenet.safetensors")
    text = load_file(real_data / "features" / "text.safetensors")
    seen = {row.numpy().tobytes() for row in features["train1"]}
    new = torch.tensor([row.numpy().tobytes() not in seen for row in features["train2"]])
    names = torch.cat([text[name] for name in ("lvis", "coco", "objects365", "openimages")])
    return ImageNet(
        (features["train1"].float(), features["train1_label"].long()),
        (features["train2"][new].float(), features["train2_label"][new].long()),
        text["imagenet1k"].float(),
        unit(names.float()),
    )


def test_imagenet_one_shot_without_training(imagenet: ImageNet) -> None:
    assert len(imagenet.concepts) == 2148
    assert imagenet.accuracy("ccli-tf") == pytest.approx(61.58, abs=0.06)  # one picture


@pytest.mark.slow
def test_imagenet_one_shot_is_no_worse_than_trained_keys(imagenet: ImageNet) -> None:
    found = imagenet.accuracy("concept-map")
    assert found == pytest.approx(64.28, abs=0.2)
    assert found >= imagenet.accuracy("tip-adapter-f")


@pytest.mark.slow
@pytest.mark.parametrize(
    "params",
    [{}, {"hidden": 256, "epochs": 20, "lr": 1e-4, "dropout": 0.5}],
    ids=["default", "twice-as-long"],
)
def test_imagenet_one_shot_with_a_network(imagenet: ImageNet, params: dict[str, Any]) -> None:
    assert imagenet.accuracy("ccli", **params) == pytest.approx(64, abs=0.4)
